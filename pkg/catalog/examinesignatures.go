package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// examineSignatures compares the signatures that the registry has with those that
// snapshots carry, and those beside the images: of every revision that has any there,
// and of the live ones that are attached.
func (x *Examination) examineSignatures(ctx context.Context, beside map[digest.Digest]*besideEntry) error {
	faulty := map[revision.Tag]bool{}
	for _, fault := range x.log.Faults {
		faulty[fault.Tag] = fault.Record == nil || fault.Condition == ocilog.Lost
	}
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	done := map[digest.Digest]bool{}
	look := func(tag revision.Tag, manifest digest.Digest, size int64, known []jsontext.Value) {
		group.Go(func() error {
			x.compareSignatures(ctx, signed{tag, manifest, size, known, beside[manifest]})
			return nil
		})
	}
	err := x.catalog.log.SnapshotRecords(ctx, func(record ocilog.Record) {
		manifest := digest.FromBytes(record.Manifest)
		if len(record.Signatures) == 0 || faulty[record.Tag] || !x.log.View.Lists(record.Tag.String()) {
			return
		}
		known := record.Signatures
		if at := beside[manifest]; at != nil {
			known = slices.Concat(known, at.signatures)
		}
		done[manifest] = true
		look(record.Tag, manifest, int64(len(record.Manifest)), known)
	})
	for _, head := range x.log.Heads {
		if at := beside[head.Digest]; at != nil && !done[head.Digest] && !faulty[head.Tag] {
			look(head.Tag, head.Digest, head.Size, at.signatures)
		}
	}
	_ = group.Wait() // never fails: what was not answered is a finding
	return err
}

// signed is a revision with the signatures that are known of it.
type signed struct {
	tag      revision.Tag
	manifest digest.Digest
	size     int64
	known    []jsontext.Value
	beside   *besideEntry // nil where the image was not looked at
}

func (x *Examination) compareSignatures(ctx context.Context, s signed) {
	c := x.catalog
	f := Finding{What: partSignature, Name: s.tag.Name, Where: s.tag.String(), turn: turnSignature}
	evidence := signature.Find(ctx, c.repository, s.manifest)
	if evidence.Err != nil {
		x.unknown(f, evidence.Err)
		return
	}
	if missing := c.lacking(s.tag.Name, s.manifest, evidence, s.known); len(missing) > 0 {
		f.State, f.Reason = stateMissing, fmt.Sprintf("%s that the registry does not have", countOf(len(missing), "known signature"))
		f.From = "a snapshot"
		if s.beside != nil && s.beside.signed {
			f.From += ", or what is beside the image"
		}
		subject := manifestDescriptor(&revision.Revision{Digest: s.manifest, Size: s.size})
		f.mend = func(ctx context.Context) error { return c.writeSignatures(ctx, s.tag, subject, missing) }
		x.add(f)
	}
	if s.beside == nil || !s.beside.attached || s.beside.signed || len(evidence.Signatures) == 0 {
		return
	}
	f = Finding{What: partAttachment, Name: s.tag.Name, State: stateMissing, From: "the registry", turn: turnAttachedSignatures}
	f.Where, f.Reason = s.beside.where, "the signatures of its entry are not beside the image"
	f.mend = func(ctx context.Context) error {
		rev := &revision.Revision{Tag: s.tag, Digest: s.manifest}
		return stepError(c.attachSignatures(ctx, s.beside.repository, rev, s.beside.subject, nil))
	}
	x.add(f)
}
