package catalog

import (
	"fmt"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

var zeroTime time.Time

// merge completes what the image says with what its publisher says. Where they
// differ the image's word stands, and a difference names both.
func merge(said, typed entry.Metadata, observed entry.Observed) (entry.Metadata, []string) {
	var differences []string
	differ := func(what, ours, theirs string) {
		differences = append(differences, fmt.Sprintf("%s is %q according to the image, not %q: the image's word is published", what, theirs, ours))
	}
	field := func(what string, said *string, typed string) {
		switch {
		case typed == "" || typed == *said:
		case *said == "":
			*said = typed
		default:
			differ(what, typed, *said)
		}
	}
	typed.Architecture = entry.Architecture(typed.Architecture)
	several := len(observed.Platforms) > 1
	if several && typed.Architecture != "" {
		if !slices.ContainsFunc(observed.Platforms, func(p entry.Platform) bool { return p.Architecture == typed.Architecture }) {
			differ("architecture", typed.Architecture, "several platforms")
		}
		typed.Architecture = ""
	}
	field("architecture", &said.Architecture, typed.Architecture)
	field("os", &said.OS, typed.OS)
	field("variant", &said.Variant, typed.Variant)
	field("distro", &said.Distro, typed.Distro)
	field("distro version", &said.DistroVersion, typed.DistroVersion)
	field("kernel version", &said.KernelVersion, typed.KernelVersion)
	field("build mode", &said.BuildMode, typed.BuildMode)
	field("export format", &said.ExportFormat, typed.ExportFormat)
	said.Bootc = said.Bootc || typed.Bootc
	said.Targets = mergeTargets(said.Targets, typed.Targets)
	return said, differences
}

// mergeTargets adds the typed targets to the image's; a target that both name
// takes what was typed about it.
func mergeTargets(said, typed []entry.Target) []entry.Target {
	all := slices.Clone(said)
	for _, target := range typed {
		same := func(t entry.Target) bool { return t.Name == target.Name }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i] = target
		} else {
			all = append(all, target)
		}
	}
	return all
}
