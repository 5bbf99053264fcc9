package entry

import (
	"fmt"
	"maps"
	"slices"
)

// Change says what becomes other about an entry: what it names is set, the rest
// stays. The zero value changes nothing.
type Change struct {
	// Set gives members of the item that are text another value: version,
	// description, architecture, os, variant, distro, distroVersion,
	// kernelVersion, buildMode and exportFormat. "" clears one.
	Set   map[string]string
	Bootc *bool // nil leaves it as it is
	// ClearTags removes all tags, before others are added.
	ClearTags  bool
	AddTags    []string // those that are there already stay where they are
	RemoveTags []string // one that is not there is no error
	// ClearLabels removes all labels, before others are set.
	ClearLabels  bool
	SetLabels    map[string]string
	RemoveLabels []string // one that is not there is no error
	// ClearTargets removes all targets, before others are changed.
	ClearTargets bool
	Targets      []TargetChange // in this order
}

// TargetChange adds a target, or changes or removes the one of that name.
type TargetChange struct {
	Name     string
	Remove   bool    // one that is not there is no error
	Verified *bool   // nil leaves it as it is
	Notes    *string // nil leaves them as they are; "" clears
}

// Apply returns a document with the change, which shares nothing with the old one
// that the change names. Where the image is known to say something else about a
// member that is set, the mismatches say so. A member that cannot be set is an
// ErrInvalid; whether the values are valid is for who stores the document to check.
func (c *Change) Apply(old *Document) (*Document, error) {
	d := *old
	d.Mismatches = slices.Clone(old.Mismatches)
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		member := d.text(name)
		if member == nil {
			return nil, fmt.Errorf("%w: %q cannot be changed", ErrInvalid, name)
		}
		*member = c.Set[name]
		if name == "architecture" {
			*member = Architecture(*member)
		}
		d.Mismatches = mismatchesWith(d.Mismatches, name, *member)
	}
	if c.Bootc != nil {
		d.Metadata.Bootc = *c.Bootc
	}
	d.Tags = c.tags(old.Tags)
	d.Labels = c.labels(old.Labels)
	d.Metadata.Targets = c.targets(old.Metadata.Targets)
	return &d, nil
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

// Text returns a member that is text, by its name in documents and items, or nil.
func (m *Metadata) Text(name string) *string {
	switch name {
	case "architecture":
		return &m.Architecture
	case "os":
		return &m.OS
	case "variant":
		return &m.Variant
	case "distro":
		return &m.Distro
	case "distroVersion":
		return &m.DistroVersion
	case "kernelVersion":
		return &m.KernelVersion
	case "buildMode":
		return &m.BuildMode
	case "exportFormat":
		return &m.ExportFormat
	}
	return nil
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

func (c *Change) tags(old []string) []string {
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

func (c *Change) labels(old map[string]string) map[string]string {
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

func (c *Change) targets(old []Target) []Target {
	var all []Target
	if !c.ClearTargets {
		all = slices.Clone(old)
	}
	for _, change := range c.Targets {
		i := slices.IndexFunc(all, func(t Target) bool { return t.Name == change.Name })
		switch {
		case change.Remove && i < 0:
			continue
		case change.Remove:
			all = slices.Delete(all, i, i+1)
			continue
		case i < 0:
			all, i = append(all, Target{Name: change.Name}), len(all)
		}
		if change.Verified != nil {
			all[i].Verified = *change.Verified
		}
		if change.Notes != nil {
			all[i].Notes = *change.Notes
		}
	}
	return all
}
