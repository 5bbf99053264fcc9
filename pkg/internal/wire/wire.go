// Package wire converts between what package catalog takes and returns and what
// package api sends.
package wire

import (
	"net/http"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// Details returns what a request says of publication options: all but the
// name, and what a server does not do for others.
func Details(o catalog.PublishOptions) api.Details {
	m := &o.Metadata
	var bootc *bool
	if m.Bootc || o.NotBootc {
		is := !o.NotBootc
		bootc = &is
	}
	return api.Details{
		Digest: o.Digest, Version: o.Version, Description: o.Description, Tags: o.Tags, Labels: o.Labels,
		Architecture: m.Architecture, OS: m.OS, Variant: m.Variant, Distro: m.Distro, DistroVersion: m.DistroVersion,
		KernelVersion: m.KernelVersion, Targets: m.Targets, TargetNotes: o.TargetNotes, Bootc: bootc, BuildMode: m.BuildMode, ExportFormat: m.ExportFormat,
		Disk: o.Disk, ImageBuild: o.ImageBuild, Source: o.Source, Build: o.Build, Override: o.Override, Move: o.Move, Inherit: o.Inherit, NoAttach: o.NoAttach, NoKeep: o.NoKeep, DryRun: o.DryRun,
	}
}

// Options returns the publication options that Details was given, as far as the
// details say them.
func Options(d *api.Details) catalog.PublishOptions {
	return catalog.PublishOptions{
		Version: d.Version, Description: d.Description, Tags: d.Tags, Labels: d.Labels, Digest: d.Digest,
		Metadata: entry.Metadata{
			Architecture: d.Architecture, OS: d.OS, Variant: d.Variant, Distro: d.Distro, DistroVersion: d.DistroVersion,
			KernelVersion: d.KernelVersion, Targets: d.Targets, Bootc: d.Bootc != nil && *d.Bootc, BuildMode: d.BuildMode, ExportFormat: d.ExportFormat,
		},
		NotBootc: d.Bootc != nil && !*d.Bootc, TargetNotes: d.TargetNotes,
		Disk: d.Disk, ImageBuild: d.ImageBuild, Source: d.Source, Build: d.Build, Override: d.Override, Move: d.Move, Inherit: d.Inherit, NoAttach: d.NoAttach, NoKeep: d.NoKeep, DryRun: d.DryRun,
	}
}

// Publication shows the result of a publication.
func Publication(r catalog.PublishResult) api.Publication {
	p := api.Publication{
		Item: r.Item, Outcome: r.Outcome, Tag: r.Tag, Attachment: r.Attachment,
		Snapshot: r.Snapshot, MovedFrom: r.MovedFrom, Loses: r.Loses, Warnings: r.Warnings,
	}
	if r.Keep != nil && r.Keep.Outcome != catalog.Kept && r.Keep.Outcome != catalog.Skipped {
		p.Keep = r.Keep
	}
	return p
}

// Result returns the result that Publication was given, but for what was kept.
func Result(p *api.Publication) catalog.PublishResult {
	return catalog.PublishResult{
		Outcome: p.Outcome, Item: p.Item, Tag: p.Tag, Attachment: p.Attachment, Keep: p.Keep,
		Snapshot: p.Snapshot, MovedFrom: p.MovedFrom, Loses: p.Loses, Warnings: p.Warnings,
	}
}

// Kind returns the kind of package entry that a problem is of by its reason or its
// code, or by its status where these have none; nil is none.
func Kind(p *api.Problem) error {
	if p.Reason == api.ReasonDigest {
		return entry.ErrDigest
	}
	kind := entry.Kind(p.Code)
	if kind == nil && (p.Status >= 500 || p.Status == http.StatusTooManyRequests) {
		return entry.ErrUnreachable
	}
	return kind
}
