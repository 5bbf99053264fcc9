package revision

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Changed returns a document with a change, which shares nothing with the old one
// that the change names. Where the image is known to say something else about a
// member that is set, the mismatches say so. A member that cannot be set, and a note
// on a target that is not there, is an entry.ErrInvalid; whether the values are valid
// is for who stores the document to check.
func (d *Document) Changed(c *entry.Change) (_ *Document, err error) {
	after := *d
	after.Mismatches = slices.Clone(d.Mismatches)
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		member := after.text(name)
		if member == nil {
			return nil, fmt.Errorf("%w: %q cannot be changed", entry.ErrInvalid, name)
		}
		*member = c.Set[name]
		if name == "architecture" {
			*member = entry.Architecture(*member)
		}
		after.Mismatches = mismatchesWith(after.Mismatches, name, *member)
	}
	if c.Bootc != nil {
		after.Metadata.Bootc = *c.Bootc
		after.Mismatches = mismatchesWith(after.Mismatches, "bootc", strconv.FormatBool(*c.Bootc))
	}
	after.Tags = changedTags(c, d.Tags)
	after.Labels = changedLabels(c, d.Labels)
	after.Metadata.Targets, err = changedTargets(c, d.Metadata.Targets)
	return &after, err
}

// text returns a member that is text and may be changed, by its name in items, or
// nil.
func (d *Document) text(name string) *string {
	switch name {
	case "version":
		return &d.Version
	case "description":
		return &d.Description
	}
	return d.Metadata.Text(name)
}

// mismatchesWith returns the mismatches once the publisher says a value: the image's
// word is known only where there was one already.
func mismatchesWith(all []Mismatch, field, value string) []Mismatch {
	i := slices.IndexFunc(all, func(m Mismatch) bool { return m.Field == field })
	switch {
	case i < 0:
		return all
	case value == "" || value == all[i].Image:
		return slices.Delete(all, i, i+1)
	}
	all[i].Publisher, all[i].Overridden = value, true
	return all
}

func changedTags(c *entry.Change, old []string) []string {
	var all []string
	if !c.ClearTags {
		all = slices.Clone(old)
	}
	for _, tag := range c.AddTags {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return slices.DeleteFunc(all, func(tag string) bool { return slices.Contains(c.RemoveTags, tag) })
}

func changedLabels(c *entry.Change, old map[string]string) map[string]string {
	all := map[string]string{}
	if !c.ClearLabels {
		maps.Copy(all, old)
	}
	maps.Copy(all, c.SetLabels)
	for _, key := range c.RemoveLabels {
		delete(all, key)
	}
	return all
}

// changedTargets returns the targets, with the names that the change gives in their
// one spelling. One that cannot be spelled so can be removed, or changed where it is.
func changedTargets(c *entry.Change, old []entry.Target) (all []entry.Target, err error) {
	if !c.ClearTargets {
		all = slices.Clone(old)
	}
	for _, change := range c.Targets {
		same := func(t entry.Target) bool { return entry.SameTarget(t.Name, change.Name) }
		if change.Remove {
			all = slices.DeleteFunc(all, same)
			continue
		}
		i := slices.IndexFunc(all, same)
		name, err := entry.TargetName(change.Name)
		switch {
		case i < 0 && change.Verified == nil && change.Notes != nil:
			return nil, fmt.Errorf("%w: a note on target %q, which the entry does not have", entry.ErrInvalid, change.Name)
		case err != nil && i < 0:
			return nil, err
		case i < 0:
			all, i = append(all, entry.Target{Name: name}), len(all)
		case err == nil:
			all[i].Name = name
		}
		if change.Verified != nil {
			all[i].Verified = *change.Verified
		}
		if change.Notes != nil {
			all[i].Notes = *change.Notes
		}
	}
	return all, nil
}
