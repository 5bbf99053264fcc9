package revision

import (
	"maps"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
)

// editable are the members of a document that are text and that an edit can set.
var editable = []string{"version", "description", "architecture", "os", "variant", "distro", "distroVersion", "kernelVersion", "buildMode", "exportFormat"}

// Reapplied returns a document with what an edit changed of another one, from before
// to after, which are of the same image: once more, on top of what others changed. A
// target that others removed stays removed, unless the edit added it.
func (d *Document) Reapplied(before, after *Document) (*Document, error) {
	change := difference(before, after)
	change.Targets = slices.DeleteFunc(change.Targets, func(t entry.TargetChange) bool {
		has := func(d *Document) bool {
			return slices.ContainsFunc(d.Metadata.Targets, func(other entry.Target) bool { return entry.SameTarget(other.Name, t.Name) })
		}
		_, invalid := entry.TargetName(t.Name)
		return !has(d) && (has(before) || invalid != nil)
	})
	return d.Changed(change)
}

// difference returns the change that an edit of before makes to become after.
func difference(before, after *Document) *entry.Change {
	change := &entry.Change{Set: map[string]string{}, SetLabels: map[string]string{}}
	for _, name := range editable {
		if was, is := *before.text(name), *after.text(name); was != is {
			change.Set[name] = is
		}
	}
	if is := after.Metadata.Bootc; is != before.Metadata.Bootc {
		change.Bootc = &is
	}
	change.AddTags, change.RemoveTags = missing(after.Tags, before.Tags), missing(before.Tags, after.Tags)
	for _, key := range slices.Sorted(maps.Keys(after.Labels)) {
		if was, had := before.Labels[key]; !had || was != after.Labels[key] {
			change.SetLabels[key] = after.Labels[key]
		}
	}
	change.RemoveLabels = missing(slices.Sorted(maps.Keys(before.Labels)), slices.Sorted(maps.Keys(after.Labels)))
	change.Targets = targetDifference(before.Metadata.Targets, after.Metadata.Targets)
	return change
}

// missing returns those of all that others do not have.
func missing(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(others, one) })
}

func targetDifference(before, after []entry.Target) (changes []entry.TargetChange) {
	find := func(all []entry.Target, name string) int {
		return slices.IndexFunc(all, func(t entry.Target) bool { return entry.SameTarget(t.Name, name) })
	}
	for _, was := range before {
		if find(after, was.Name) < 0 {
			changes = append(changes, entry.TargetChange{Name: was.Name, Remove: true})
		}
	}
	for _, is := range after {
		change, was := entry.TargetChange{Name: is.Name}, entry.Target{}
		i := find(before, is.Name)
		if i >= 0 {
			was = before[i]
		}
		if i < 0 || was.Verified != is.Verified {
			change.Verified = &is.Verified
		}
		if was.Notes != is.Notes {
			change.Notes = &is.Notes
		}
		if change.Verified != nil || change.Notes != nil {
			changes = append(changes, change)
		}
	}
	return changes
}
