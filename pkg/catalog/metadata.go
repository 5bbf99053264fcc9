package catalog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

var zeroTime time.Time

// merge completes the document's metadata.
func (p *publication) merge(context.Context) error {
	m, o := merger{override: p.options.Override}, &p.options
	p.document.Metadata = m.merge(p.image.Metadata, o.Metadata, p.image.Observed)
	p.document.Metadata.Bootc = m.bootc(p.image, o.Metadata.Bootc, o.NotBootc)
	p.document.Mismatches = append(m.mismatches, p.built.mismatches...)
	for _, mismatch := range p.document.Mismatches {
		p.warn(WarnImage, "%s", revision.MismatchText(mismatch))
	}
	return putNotes(p.document.Metadata.Targets, o.TargetNotes)
}

// merger completes what the image says with what its publisher says. Where the
// two differ the image's word is published, unless the publisher overrides it, and a
// mismatch names both.
type merger struct {
	override   bool
	mismatches []revision.Mismatch
}

func (m *merger) merge(image, publisher entry.Metadata, observed revision.Observed) entry.Metadata {
	publisher.Architecture = entry.Architecture(publisher.Architecture)
	m.architecture(&image, publisher.Architecture, observed)
	for _, name := range []string{"os", "variant", "distro", "distroVersion", "kernelVersion", "buildMode", "exportFormat"} {
		m.field(name, image.Text(name), *publisher.Text(name))
	}
	image.Targets = mergeTargets(image.Targets, publisher.Targets)
	return image
}

func (m *merger) field(name string, image *string, publisher string) {
	switch {
	case publisher == "" || publisher == *image:
		return
	case *image != "":
		m.mismatches = append(m.mismatches, revision.Mismatch{Field: name, Image: *image, Publisher: publisher, Overridden: m.override})
		if !m.override {
			return
		}
	}
	*image = publisher
}

// bootc reports whether the image is published as a bootc container. The image says
// that it is one, or by being a disk image that it is none; other containers do not say.
func (m *merger) bootc(image *inspect.Image, is, not bool) bool {
	said, typed := "", ""
	switch {
	case image.Metadata.Bootc:
		said = "true"
	case image.IsDisk:
		said = "false"
	}
	switch {
	case not:
		typed = "false"
	case is:
		typed = "true"
	}
	m.field("bootc", &said, typed)
	return said == "true"
}

// architecture is that of the only platform; naming one of several is no
// mismatch, and does not make it the image's only one.
func (m *merger) architecture(image *entry.Metadata, publisher string, observed revision.Observed) {
	if len(observed.Platforms) < 2 {
		m.field("architecture", &image.Architecture, publisher)
		return
	}
	var all []string
	for _, platform := range observed.Platforms {
		if !slices.Contains(all, platform.Architecture) {
			all = append(all, platform.Architecture)
		}
	}
	if publisher == "" || slices.Contains(all, publisher) {
		return
	}
	several := strings.Join(all, ",")
	if m.field("architecture", &several, publisher); m.override {
		image.Architecture = publisher
	}
}
