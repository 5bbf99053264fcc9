package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
)

// Build is what a finished ImageBuild of the build operator says of itself.
type Build = imagebuild.Build

// MaxBuilds bounds what ParseBuilds takes, in bytes.
const MaxBuilds = imagebuild.MaxFile

// ParseBuilds reads ImageBuilds as kubectl prints them, in YAML or JSON: one, a
// List, or several documents. name is that of the text, for the positions in
// errors; they are of the kind entry.ErrInvalid.
func ParseBuilds(text []byte, name string) ([]Build, error) { return imagebuild.Parse(text, name) }

// PublishBuild publishes what an ImageBuild made: its container, with the files
// of its disk image as artifacts, or the disk image alone. What options say
// comes before what the build says, field by field. A build that is not
// completed, or exported nothing, is an entry.ErrInvalid.
func (c *Catalog) PublishBuild(ctx context.Context, build Build, options PublishOptions) (PublishResult, error) {
	image, options, err := FromBuild(build, options)
	if err != nil {
		return PublishResult{}, err
	}
	result, err := c.Publish(ctx, image, options)
	if err != nil {
		err = fmt.Errorf("%s: build %q: %w", build.Position, build.Name, err)
	}
	return result, err
}

// FromBuild returns the image that PublishBuild publishes, and the options it
// completes.
func FromBuild(build Build, options PublishOptions) (string, PublishOptions, error) {
	image, err := build.Image()
	if err != nil {
		return "", options, err
	}
	options.Name = cmp.Or(options.Name, build.Name)
	options.Source = build.Source
	options.Metadata = asked(options.Metadata, build.Metadata)
	labels := maps.Clone(build.Labels)
	maps.Copy(labels, options.Labels)
	options.Labels = labels
	if build.Disk != image {
		options.Disk = build.Disk
	}
	return image, options, nil
}

// asked completes what was typed with what was asked for before.
func asked(typed, before entry.Metadata) entry.Metadata {
	return entry.Metadata{
		Architecture:  cmp.Or(typed.Architecture, before.Architecture),
		OS:            cmp.Or(typed.OS, before.OS),
		Variant:       cmp.Or(typed.Variant, before.Variant),
		Distro:        cmp.Or(typed.Distro, before.Distro),
		DistroVersion: cmp.Or(typed.DistroVersion, before.DistroVersion),
		KernelVersion: cmp.Or(typed.KernelVersion, before.KernelVersion),
		Targets:       mergeTargets(before.Targets, typed.Targets),
		Bootc:         typed.Bootc || before.Bootc,
		BuildMode:     cmp.Or(typed.BuildMode, before.BuildMode),
		ExportFormat:  cmp.Or(typed.ExportFormat, before.ExportFormat),
	}
}
