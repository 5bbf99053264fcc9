package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/imagebuild"
)

// PublishBuild publishes what an ImageBuild made: its container, with the files
// of its disk image as artifacts, or the disk image alone. What options say
// comes before what the build says, field by field. A build that is not
// completed, or exported nothing, is an entry.ErrInvalid.
func (c *Catalog) PublishBuild(ctx context.Context, build imagebuild.Build, options PublishOptions) (Result, error) {
	image, options, err := FromBuild(build, options)
	if err != nil {
		return Result{}, err
	}
	result, err := c.Publish(ctx, image, options)
	if err != nil {
		err = fmt.Errorf("%s: build %q: %w", build.Position, build.Name, err)
	}
	return result, err
}

// FromBuild returns the image that PublishBuild publishes, and the options it
// completes.
func FromBuild(build imagebuild.Build, options PublishOptions) (string, PublishOptions, error) {
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

// asked completes what was typed with what the build was asked to be.
func asked(typed, build entry.Metadata) entry.Metadata {
	return entry.Metadata{
		Architecture:  cmp.Or(typed.Architecture, build.Architecture),
		OS:            typed.OS,
		Variant:       typed.Variant,
		Distro:        cmp.Or(typed.Distro, build.Distro),
		DistroVersion: typed.DistroVersion,
		KernelVersion: typed.KernelVersion,
		Targets:       mergeTargets(build.Targets, typed.Targets),
		Bootc:         typed.Bootc || build.Bootc,
		BuildMode:     cmp.Or(typed.BuildMode, build.BuildMode),
		ExportFormat:  cmp.Or(typed.ExportFormat, build.ExportFormat),
	}
}
