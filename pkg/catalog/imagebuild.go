package catalog

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
)

// Build is what a finished ImageBuild of the build operator says of itself.
type Build = imagebuild.Build

// ImageBuild is what a build says of the image that it made. Zero says nothing.
type ImageBuild struct {
	// Name is that of the build. It names the entry where nothing else does: neither
	// PublishOptions.Name, nor the one live entry with the image's reference. Where
	// the entry is named otherwise, it is the version that is not given.
	Name string `json:"name,omitzero"`
	// Digest and DiskDigest are those of the image and of PublishOptions.Disk. What
	// has them is published, whatever the references name now. Where it is gone, the
	// publication is an entry.ErrDigest, or with PublishOptions.Override of what the
	// reference names, and recorded as a mismatch.
	Digest     digest.Digest `json:"digest,omitzero"`
	DiskDigest digest.Digest `json:"diskDigest,omitzero"`
	// StartedAt and CompletedAt are compared with the time at which an image without a
	// digest here was created: one of more than a minute after CompletedAt is not the
	// build's, and an entry.ErrDigest, or with PublishOptions.Override a mismatch.
	StartedAt   entry.Time `json:"startedAt,omitzero"`
	CompletedAt entry.Time `json:"completedAt,omitzero"`
}

// ReadBuilds reads ImageBuilds as kubectl prints them, in YAML or JSON: one, a
// List, or several documents, and no more than 16 MiB. They come in the order in which
// they were completed, after those that do not say when: that in which to publish
// them. name is that of the text, for the positions in errors; they are of the kind
// entry.ErrInvalid.
func ReadBuilds(from io.Reader, name string) ([]Build, error) {
	text, err := io.ReadAll(io.LimitReader(from, imagebuild.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", entry.ErrInvalid, name, err)
	}
	builds, err := imagebuild.Parse(text, name)
	slices.SortStableFunc(builds, func(a, b Build) int {
		_, first, _ := a.Times() // zero for what is no time: such a build is refused
		_, second, _ := b.Times()
		return first.Compare(second)
	})
	return builds, err
}

// FromBuild returns what to publish of an ImageBuild: its container, with the files
// of its disk image as artifacts, or the disk image alone; and options completed
// with what the build says. What options say comes before that, field by field. The
// entry has the name of the build's annotation catalog-image-name, else of its
// schedule, else what ImageBuild.Name says. A build that is not completed, exported
// nothing to a registry, or says what makes no sense, is an entry.ErrInvalid.
func FromBuild(build Build, options PublishOptions) (string, PublishOptions, error) {
	image, err := build.Image()
	if err != nil {
		return "", options, err
	}
	if options.Name == "" {
		if options.Name, err = build.EntryName(); err != nil {
			return "", options, err
		}
	}
	if options.ImageBuild, err = builtBy(build); err != nil {
		return "", options, err
	}
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

// builtBy returns what a build says of its image.
func builtBy(build Build) (made ImageBuild, err error) {
	made.Name = build.Name
	if made.Digest, made.DiskDigest, err = build.Digests(); err != nil {
		return made, err
	}
	began, completed, err := build.Times()
	made.StartedAt, made.CompletedAt = entry.NewTime(began), entry.NewTime(completed)
	return made, err
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
