package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

const (
	maxReferrers = 64 // read of one image; the entry document has a bound
	// ours are the attachments of catalogs: they come from entries, and are no
	// part of any.
	ours = "application/vnd.caib.catalog."
)

// referrer is an artifact that is said to refer to the image.
type referrer struct {
	descriptor ocispec.Descriptor
	subject    digest.Digest
	manifest   ocispec.Manifest // read by fetchReferrers
	read       Manifest         // the same as it came
}

// referrers are being listed and read.
type referrers struct {
	stop func() // waits for the end, which it brings about
	done chan struct{}

	found   []*referrer
	omitted int // beyond the bound
	err     error
}

// startReferrers begins to find what refers to the image and to its platforms.
func (l *look) startReferrers(ctx context.Context, root *node, manifests []*node) *referrers {
	within, cancel := context.WithCancel(ctx)
	r := &referrers{done: make(chan struct{})}
	r.stop = func() {
		cancel()
		<-r.done
	}
	go func() {
		defer close(r.done)
		if r.err = l.listReferrers(within, r, subjects(root, manifests)); r.err == nil {
			r.err = l.fetchReferrers(within, r.found)
		}
	}()
	return r
}

// attached waits for what refers to the image: disk images
// become artifacts, the rest is listed. A registry that does not say what
// there is makes the inspection incomplete, not impossible: some answer 401 or
// 500 to this question alone.
func (l *look) attached(ctx context.Context, r *referrers, root *node, manifests []*node) error {
	<-r.done
	found, err := r.found, r.err
	if r.omitted > 0 {
		l.warn("%d artifacts are attached to the image: only %d are listed", r.omitted+maxReferrers, maxReferrers)
	}
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		l.image.Incomplete = true
		l.warn("what is attached to the image is not known: %v", err)
		return nil
	}
	for _, r := range found {
		l.addReferrer(r, root.descriptor.Digest)
	}
	root.each(l.addAttestation)
	l.addArtifacts(root, manifests)
	slices.SortFunc(l.image.Observed.Referrers, func(a, b revision.Referrer) int {
		return cmp.Or(unnamed(a)-unnamed(b), strings.Compare(revision.ReferrerKind(&a), revision.ReferrerKind(&b)), strings.Compare(a.Type, b.Type),
			strings.Compare(a.Digest.String(), b.Digest.String()), strings.Compare(a.FileDigest.String(), b.FileDigest.String()))
	})
	return nil
}

// subjects are the manifests that something may refer to: the image's own
// first.
func subjects(root *node, manifests []*node) []ocispec.Descriptor {
	all := []ocispec.Descriptor{plain(root.descriptor)}
	if root.isIndex() {
		for _, n := range manifests {
			all = append(all, plain(n.descriptor))
		}
	}
	return all
}

// listReferrers finds the referrers of all subjects, each once, those with a
// known type first.
func (l *look) listReferrers(ctx context.Context, r *referrers, subjects []ocispec.Descriptor) error {
	lists := make([][]ocispec.Descriptor, len(subjects))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, subject := range subjects {
		group.Go(func() (err error) {
			lists[i], err = l.from.Referrers(within, subject)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, d := range lists[0] {
		l.image.Listed = append(l.image.Listed, d.Digest)
	}
	var found []*referrer
	seen := map[digest.Digest]bool{}
	for i, list := range lists {
		for _, d := range list {
			if !seen[d.Digest] && !strings.HasPrefix(d.ArtifactType, ours) && (isManifest(d.MediaType) || isIndex(d.MediaType)) && isDigest(d.Digest) {
				seen[d.Digest] = true
				found = append(found, &referrer{descriptor: d, subject: subjects[i].Digest})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *referrer) int { return a.rank() - b.rank() })
	r.omitted = max(0, len(found)-maxReferrers)
	r.found = found[:len(found)-r.omitted]
	return nil
}

// rank puts what is known before what is not: a registry where anybody may
// attach anything must not push out what matters.
func (r *referrer) rank() int {
	claimed := revision.Referrer{Type: r.descriptor.ArtifactType}
	if _, _, disk := diskFormat(r.descriptor.ArtifactType); disk || revision.ReferrerKind(&claimed) != "" {
		return 0
	}
	return 1
}

// fetchReferrers reads the manifests: the list's own words about type and
// annotations are another client's where the registry has no Referrers API.
// One that is not there, or refers to something else, loses its subject.
func (l *look) fetchReferrers(ctx context.Context, found []*referrer) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, r := range found {
		group.Go(func() error {
			found, body, err := l.manifest(within, r.descriptor.Digest)
			r.read = Manifest{plain(found), body}
			switch {
			case errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrMalformed), err == nil && readManifest(body, &r.manifest, func(string, ...any) {}) != nil:
				r.subject = ""
			case err != nil:
				return fmt.Errorf("referrer %s: %w", r.descriptor.Digest, err)
			case r.manifest.Subject == nil || r.manifest.Subject.Digest != r.subject || strings.HasPrefix(r.manifest.ArtifactType, ours):
				r.subject = ""
			}
			return nil
		})
	}
	return group.Wait()
}

// unnamed puts referrers without a plain name last.
func unnamed(r revision.Referrer) int {
	if revision.ReferrerKind(&r) == "" {
		return 1
	}
	return 0
}
