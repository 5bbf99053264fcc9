package api

import (
	"fmt"
	"maps"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Patch is the body of a request to edit an entry: a merge patch (RFC 7396) of its item.
// Members that are null are cleared.
type Patch map[string]any

// NewPatch returns the patch that makes a change to an item.
func NewPatch(item *entry.Item, change *entry.Change) (Patch, error) {
	after, err := (&revision.Document{Tags: item.Tags, Labels: item.Labels, Metadata: entry.Metadata{Targets: item.Targets}}).Changed(change)
	if err != nil {
		return nil, err
	}
	patch := Patch{}
	for name, value := range change.Set {
		if patch[name] = any(value); value == "" {
			patch[name] = nil
		}
	}
	if change.Bootc != nil {
		patch["bootc"] = *change.Bootc
	}
	if change.ClearTags || len(change.AddTags)+len(change.RemoveTags) > 0 {
		patch["tags"] = orNull(after.Tags)
	}
	if change.ClearTargets || len(change.Targets) > 0 {
		patch["targets"] = orNull(after.Metadata.Targets)
	}
	labels := map[string]any{}
	if change.ClearLabels {
		for key := range item.Labels {
			labels[key] = nil
		}
	}
	for key, value := range change.SetLabels {
		labels[key] = value
	}
	for _, key := range change.RemoveLabels {
		labels[key] = nil
	}
	if len(labels) > 0 {
		patch["labels"] = labels
	}
	return patch, nil
}

func orNull[T any](all []T) any {
	if len(all) == 0 {
		return nil
	}
	return all
}

// Change returns the change that a patch asks for. A member that cannot be edited, or
// has a value of the wrong kind, is an entry.ErrInvalid that names it.
func (p Patch) Change() (entry.Change, error) {
	change := entry.Change{Set: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if err := setMember(&change, name, p[name]); err != nil {
			return entry.Change{}, err
		}
	}
	return change, nil
}

func setMember(change *entry.Change, name string, value any) error {
	ok := true
	switch name {
	case "bootc":
		var bootc bool
		bootc, ok = value.(bool)
		change.Bootc, ok = &bootc, ok || value == nil
	case "tags":
		change.ClearTags = true
		if change.AddTags, ok = elements[string](value); len(change.AddTags) > maxElements {
			return tooMany(name)
		}
	case "labels":
		var labels map[string]any
		labels, ok = value.(map[string]any)
		change.ClearLabels, ok = value == nil, ok || value == nil
		change.SetLabels = map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			text, isText := labels[key].(string)
			switch {
			case labels[key] == nil:
				change.RemoveLabels = append(change.RemoveLabels, key)
			case !isText:
				return wrongKind(name + "/" + key)
			default:
				change.SetLabels[key] = text
			}
		}
	case "targets":
		return setTargets(change, value)
	default:
		change.Set[name], ok = value.(string)
		if _, err := new(revision.Document).Changed(&entry.Change{Set: map[string]string{name: ""}}); err != nil {
			return err
		}
		ok = ok || value == nil
	}
	if !ok {
		return wrongKind(name)
	}
	return nil
}

// setTargets takes a list of targets as what there is of them.
func setTargets(change *entry.Change, value any) error {
	change.ClearTargets = true
	all, ok := elements[map[string]any](value)
	if !ok {
		return wrongKind("targets")
	}
	if len(all) > maxElements {
		return tooMany("targets")
	}
	for i, members := range all {
		target := entry.TargetChange{Verified: new(bool), Notes: new(string)}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			switch name {
			case "name":
				target.Name, ok = members[name].(string)
			case "verified":
				*target.Verified, ok = members[name].(bool)
			case "notes":
				*target.Notes, ok = members[name].(string)
			default:
				return fmt.Errorf("%w: body: there is no member %q", entry.ErrInvalid, fmt.Sprintf("targets/%d/%s", i, name))
			}
			if !ok {
				return wrongKind(fmt.Sprintf("targets/%d/%s", i, name))
			}
		}
		if target.Name == "" {
			return fmt.Errorf("%w: body: targets/%d has no name", entry.ErrInvalid, i)
		}
		change.Targets = append(change.Targets, target)
	}
	return nil
}

// elements returns the elements of a list, or none of null.
func elements[T any](value any) (all []T, ok bool) {
	list, ok := value.([]any)
	for _, element := range list {
		one, is := element.(T)
		if !is {
			return nil, false
		}
		all = append(all, one)
	}
	return all, ok || value == nil
}

// maxElements bounds a list of a patch. Each element is compared with all others, and
// no entry has as many.
const maxElements = 256

func tooMany(member string) error {
	return fmt.Errorf("%w: body: %q has more than %d elements", entry.ErrInvalid, member, maxElements)
}

func wrongKind(member string) error {
	return fmt.Errorf("%w: body: the value of %q is of the wrong kind", entry.ErrInvalid, member)
}
