package entry

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
