package inspect

import (
	"regexp"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	automotive    = "automotive.sdv.cloud.redhat.com/"
	labelBootc    = "containers.bootc"
	maxFactLength = 256
)

// plainText is the text that an entry may have: one printable line.
var plainText = regexp.MustCompile(`^[^\x00-\x1f\x7f-\x9f\x{061c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]*$`)

// facts collects metadata from what builders write. What is said first
// on a subject is taken.
type facts struct{ look *look }

// text returns a value that an entry may have, or "" with a warning.
func (f facts) text(what, value string) string {
	if len(value) <= maxFactLength && plainText.MatchString(value) {
		return value
	}
	f.look.warn("the image's %s is not a line of at most %d printable characters: left out", what, maxFactLength)
	return ""
}

func (f facts) set(field *string, what, value string) {
	if *field == "" && value != "" {
		*field = f.text(what, value)
	}
}

// annotations reads the keys of automotive builds.
func (f facts) annotations(from map[string]string) {
	m := &f.look.image.Metadata
	f.set(&m.Distro, "distro annotation", from[automotive+"distro"])
	f.set(&m.Architecture, "arch annotation", entry.Architecture(from[automotive+"arch"]))
	f.set(&m.ExportFormat, "export-format annotation", from[automotive+"export-format"])
	if target := from[automotive+"target"]; target != "" && len(m.Targets) == 0 {
		if text := f.text("target annotation", target); text != "" {
			name, err := entry.TargetName(text)
			if err != nil {
				f.look.warn("the image's target annotation cannot be the name of a target: left out: %v", err)
				return
			}
			m.Targets = []entry.Target{{Name: name}}
		}
	}
}

// config reads a container image's platform and labels.
func (f facts) config(config ocispec.Image) {
	m := &f.look.image.Metadata
	if config.Architecture != "" {
		m.Architecture = "" // the config is the better witness
		f.set(&m.Architecture, "architecture", entry.Architecture(config.Architecture))
	}
	f.set(&m.OS, "os", config.OS)
	f.set(&m.Variant, "variant", config.Variant)
	if config.Config.Labels[labelBootc] == "1" || config.Config.Labels[labelBootc] == "true" {
		m.Bootc, m.BuildMode = true, "bootc"
	}
	f.annotations(config.Config.Labels)
}

// platform describes one manifest of an index. What the config says counts:
// the index's word is only a hint, and another tool's.
func (f facts) platform(n *node) entry.Platform {
	platform := n.config.Platform
	if platform.Architecture == "" && n.descriptor.Platform != nil {
		platform = *n.descriptor.Platform
	}
	if platform.Architecture == "" {
		platform.Architecture = n.manifest.Annotations[automotive+"arch"]
	}
	return entry.Platform{
		Architecture: entry.Architecture(f.text("architecture", platform.Architecture)),
		OS:           f.text("os", platform.OS),
		Variant:      f.text("variant", platform.Variant),
		Digest:       n.descriptor.Digest, SizeBytes: n.size(), LayerCount: len(n.manifest.Layers),
	}
}

// created keeps the newest creation time; the zero time, and years that RFC
// 3339 cannot write, are as good as none.
func (f facts) created(n *node) {
	at := n.config.Created
	if at == nil {
		at = lenientTime(n.manifest.Annotations[ocispec.AnnotationCreated])
	}
	if at == nil || at.IsZero() || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
		return
	}
	created := entry.NewTime(*at)
	observed := &f.look.image.Observed
	if observed.CreatedAt == nil || created.After(observed.CreatedAt.Time) {
		observed.CreatedAt = &created
	}
}
