package catalog

import (
	"cmp"
	"fmt"
	"io"
	"maps"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
)

// Build is what a finished ImageBuild of the build operator says of itself.
type Build = imagebuild.Build

// ReadBuilds reads ImageBuilds as kubectl prints them, in YAML or JSON: one, a
// List, or several documents, and no more than 16 MiB. name is that of the text, for
// the positions in errors; they are of the kind entry.ErrInvalid.
func ReadBuilds(from io.Reader, name string) ([]Build, error) {
	text, err := io.ReadAll(io.LimitReader(from, imagebuild.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", entry.ErrInvalid, name, err)
	}
	return imagebuild.Parse(text, name)
}

// FromBuild returns what to publish of an ImageBuild: its container, with the files
// of its disk image as artifacts, or the disk image alone; and options completed
// with what the build says. What options say comes before that, field by field. A
// build that is not completed, or exported nothing, is an entry.ErrInvalid.
func FromBuild(build Build, options PublishOptions) (string, PublishOptions, error) {
	image, err := build.Image()
	if err != nil {
		return "", options, err
	}
	options.Name = cmp.Or(options.Name, build.Name)
	options.Source = build.Source
	build.Metadata.Bootc = build.Metadata.Bootc && image == build.Container && !options.NotBootc // its disk image is no container
	options.Metadata = completeMetadata(options.Metadata, build.Metadata)
	labels := maps.Clone(build.Labels)
	maps.Copy(labels, options.Labels)
	options.Labels = labels
	if build.Disk != image {
		options.Disk = build.Disk
	}
	return image, options, nil
}

// completeMetadata completes what was typed with what was asked for before.
func completeMetadata(typed, before entry.Metadata) entry.Metadata {
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
