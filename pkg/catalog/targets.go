package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// spellTargets gives the names of typed targets and notes their one spelling. A name
// that has none is refused, but for those that an entry of before already has.
func (o *PublishOptions) spellTargets(before *revision.Document) error {
	o.Metadata.Targets = slices.Clone(o.Metadata.Targets)
	for i := range o.Metadata.Targets {
		target := &o.Metadata.Targets[i]
		name, err := entry.TargetName(target.Name)
		if err != nil && before != nil && indexTarget(before.Metadata.Targets, target.Name) >= 0 {
			continue
		}
		if err != nil {
			return err
		}
		target.Name = name
	}
	notes := map[string]string{}
	for _, text := range slices.Sorted(maps.Keys(o.TargetNotes)) {
		name, err := entry.TargetName(text)
		if err != nil {
			return fmt.Errorf("note: %w", err)
		}
		if old, twice := notes[name]; twice && old != o.TargetNotes[text] {
			return fmt.Errorf("%w: target %q has two notes", entry.ErrInvalid, name)
		}
		notes[name] = o.TargetNotes[text]
	}
	o.TargetNotes = notes
	return nil
}

// mergeTargets adds the publisher's targets to the image's; a target that both
// name takes what the publisher says about it.
func mergeTargets(image, publisher []entry.Target) []entry.Target {
	all := slices.Clone(image)
	for _, target := range publisher {
		if i := indexTarget(all, target.Name); i >= 0 {
			all[i] = target
		} else {
			all = append(all, target)
		}
	}
	return all
}

// putNotes puts notes on the targets that have them, in place.
func putNotes(targets []entry.Target, notes map[string]string) error {
	var named []string
	for _, target := range targets {
		named = append(named, target.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		i := indexTarget(targets, name)
		if i < 0 {
			return &noteError{name, cmp.Or(strings.Join(named, ", "), "none")}
		}
		targets[i].Notes = notes[name]
	}
	return nil
}

func indexTarget(all []entry.Target, name string) int {
	return slices.IndexFunc(all, func(t entry.Target) bool { return entry.SameTarget(t.Name, name) })
}

// noteError is a note for a target that is not named: an entry.ErrTarget.
type noteError struct{ name, named string }

func (e *noteError) Error() string {
	return fmt.Sprintf("%v: a note for target %q, which neither the image nor the publisher names; named: %s", entry.ErrInvalid, e.name, e.named)
}

func (e *noteError) Unwrap() error { return entry.ErrTarget }
