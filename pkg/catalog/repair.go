package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Repair mends what can be mended of the findings, in their order, and says of each
// what became of it. Then it writes a snapshot, if the log was mended. It deletes
// nothing. An error means that ctx ended.
func (x *Examination) Repair(ctx context.Context) error {
	x.catalog.opener.expectPush(x.catalog.reference)
	if err := x.repair(ctx); err != nil || !x.isClearer() {
		return err
	}
	// What was damaged may have been in the way of what could not be answered.
	again, err := x.catalog.Examine(ctx, x.options)
	if err != nil {
		return err
	}
	err = again.repair(ctx)
	x.Findings = append(slices.DeleteFunc(x.Findings, func(f Finding) bool { return !f.Mended }), again.Findings...)
	return err
}

// isClearer reports whether more might be found out now: something was mended, and of
// something nothing is known.
func (x *Examination) isClearer() bool {
	return slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.Mended }) &&
		slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.State == stateUnknown })
}

func (x *Examination) repair(ctx context.Context) error {
	x.sort()
	logMended := false
	for i := range x.Findings {
		f := &x.Findings[i]
		if f.mend == nil || f.Mended {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.turn == turnSnapshot {
			logMended = true
			continue
		}
		if err := f.mend(ctx); err != nil {
			f.Failed = err.Error()
			continue
		}
		f.Mended = true
		logMended = logMended || f.turn <= turnSignature
	}
	x.catalog.forget()
	if !logMended {
		return nil
	}
	err := x.catalog.rewriteSnapshot(ctx)
	for i := range x.Findings {
		switch f := &x.Findings[i]; {
		case f.turn != turnSnapshot || f.mend == nil:
		case err != nil:
			f.Failed = err.Error()
		default:
			f.Mended = true
		}
	}
	if err != nil {
		x.catalog.warn(WarnStore, "", fmt.Errorf("no snapshot was written: %w", err))
	}
	return nil
}

// rewriteSnapshot writes a snapshot of the log as it is now.
func (c *Catalog) rewriteSnapshot(ctx context.Context) error {
	view, err := c.log.ReadIncomplete(ctx)
	if err != nil {
		return err
	}
	s := &snapshotLookups{}
	ctx = context.WithValue(ctx, boundsKey{}, &s.bounds)
	return c.log.WriteSnapshot(context.WithValue(ctx, snapshotLookupsKey{}, s), view)
}

// prove returns nil if a revision may be written by somebody who did not make it:
// without a policy its digest is proof enough, under one the signatures that are at
// hand, or those in the registry, are those that it wants.
func (c *Catalog) prove(ctx context.Context, rev *revision.Revision, signatures []jsontext.Value) error {
	if c.policy() == nil {
		return nil
	}
	e := c.newEvaluator(nil, zeroTime)
	rule := e.rule(rev.Tag.Name)
	if rule.Warn {
		return nil
	}
	var report trust.Report
	if slices.Contains(rule.Require, trust.SubjectEntry) || rev.Document == nil {
		known := evidenceOf(signatures)
		check := rule.Check(trust.SubjectEntry, rev.Digest, known)
		if check.Result != entry.VerdictVerified {
			check, _ = e.lookUp(ctx, rule, trust.SubjectEntry, c.repository, rev.Digest, known.Signatures...)
		}
		report, _ = judge(rule, rev, []trust.Check{check})
	} else {
		report = e.report(ctx, rev)
	}
	return c.refusal(rev, report)
}

// writeAgain writes a revision under its tag, with those of its signatures that the
// registry lacks, and reads back what the registry made of it.
func (c *Catalog) writeAgain(ctx context.Context, record ocilog.Record) error {
	packed, err := c.packAgain(ctx, record)
	if err != nil {
		return err
	}
	sign := func(ctx context.Context) error {
		missing, err := c.missingSignatures(ctx, record.Tag.Name, packed.Descriptor.Digest, record.Signatures)
		if err == nil {
			err = c.writeSignatures(ctx, record.Tag, packed.Descriptor, missing)
		}
		return err
	}
	if len(record.Signatures) == 0 {
		sign = nil
	}
	if err := c.log.Append(ctx, packed, sign); err != nil {
		return err
	}
	return c.readBack(ctx, packed)
}

// packAgain makes of a record what is to be pushed.
func (c *Catalog) packAgain(ctx context.Context, record ocilog.Record) (*revision.Packed, error) {
	var manifest ocispec.Manifest
	if err := json.Unmarshal(record.Manifest, &manifest); err != nil {
		return nil, fmt.Errorf("%w: %v", entry.ErrMalformed, err)
	}
	packed := &revision.Packed{Tag: record.Tag, Manifest: record.Manifest, Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: manifest.ArtifactType,
		Digest: digest.FromBytes(record.Manifest), Size: int64(len(record.Manifest)),
	}}
	for _, d := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
		plain := ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
		content := d.Data
		if d.Digest == ocispec.DescriptorEmptyJSON.Digest {
			content = ocispec.DescriptorEmptyJSON.Data
		}
		if digest.FromBytes(content) != d.Digest {
			if err := c.repository.StatBlob(ctx, plain); err != nil {
				return nil, fmt.Errorf("the blob %s is not at hand: %w", d.Digest, err)
			}
			continue
		}
		packed.Blobs = append(packed.Blobs, revision.Blob{Descriptor: plain, Content: content})
	}
	return packed, nil
}

// errKept is why a damaged revision cannot be mended from outside of the registry.
var errKept = fmt.Errorf("%w: the registry does not store again what it has under that digest: whoever runs it has to delete the altered file, or to restore it", entry.ErrMalformed)

// readBack checks that what was written can be had: some registries store nothing
// under a digest that they have already, whatever has become of it.
func (c *Catalog) readBack(ctx context.Context, packed *revision.Packed) error {
	_, manifest, err := c.repository.Manifest(ctx, packed.Tag.String())
	if err == nil && !bytes.Equal(manifest, packed.Manifest) {
		err = absence.ErrAltered
	}
	for _, blob := range packed.Blobs {
		if err == nil {
			_, err = c.repository.Blob(ctx, blob.Descriptor)
		}
	}
	if errors.Is(err, absence.ErrAltered) {
		return fmt.Errorf("%w (%w)", errKept, err)
	}
	return err
}

// missingSignatures returns those of some signatures of a revision that the registry
// does not have, and that may be put there: they are of this revision and, under a
// policy, by somebody whom it names.
func (c *Catalog) missingSignatures(ctx context.Context, name string, d digest.Digest, known []jsontext.Value) ([]signature.Signature, error) {
	evidence := signature.Find(ctx, c.repository, d)
	if evidence.Err != nil {
		return nil, evidence.Err
	}
	return c.lacking(name, d, evidence, known), nil
}

// lacking is missingSignatures, given what the registry has.
func (c *Catalog) lacking(name string, d digest.Digest, evidence signature.Evidence, known []jsontext.Value) (missing []signature.Signature) {
	var there []jsontext.Value
	for _, one := range evidence.Signatures {
		there = append(there, compactText(one.JSON()))
	}
	for _, text := range known {
		one, ok := signature.Parse(text)
		if !ok || slices.ContainsFunc(there, func(other jsontext.Value) bool { return bytes.Equal(other, compactText(text)) }) {
			continue
		}
		there = append(there, compactText(text)) // each once
		if _, err := one.Open(d); err != nil {
			continue
		}
		if policy := c.policy(); policy != nil {
			check := policy.For(c.Reference(), name).Check(trust.SubjectEntry, d, signature.Evidence{Signatures: []signature.Signature{one}})
			if len(check.Signers) == 0 {
				continue
			}
		}
		missing = append(missing, one)
	}
	return missing
}

// compactText is a JSON text without what means nothing in it.
func compactText(text []byte) jsontext.Value {
	value := jsontext.Value(slices.Clone(text))
	_ = value.Compact() // what is no JSON stays as it is
	return value
}

func (c *Catalog) writeSignatures(ctx context.Context, tag revision.Tag, subject ocispec.Descriptor, all []signature.Signature) error {
	ctx = referrertag.WithCatalog(ctx, c.reference.Normal().Base())
	for _, one := range all {
		if err := signature.Write(ctx, c.repository, subject, one, c.options.Now()); err != nil {
			return err
		}
		c.log.AddSignatures(ctx, tag, one.JSON())
	}
	return nil
}
