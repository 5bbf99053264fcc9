package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// attachedRevision is a revision that was found beside images.
type attachedRevision struct {
	*revision.Revision
	record   ocilog.Record
	subjects map[digest.Digest]bool // it is beside
}

// imageScan is what is beside the images of some repositories.
type imageScan struct {
	catalog *Catalog

	mu         sync.Mutex
	revisions  map[digest.Digest]*attachedRevision
	signatures map[digest.Digest][][]jsontext.Value // of revisions, by artifact
}

// attachedRevisions returns the revisions beside images that this catalog may be rebuilt
// from: those that were published in it, of the image that they are beside, and that are
// proven. Those that are not taken are told.
func (c *Catalog) attachedRevisions(ctx context.Context, options ExamineOptions) ([]ocilog.Record, error) {
	if len(options.FromImages) == 0 {
		return nil, nil
	}
	s := &imageScan{catalog: c, revisions: map[digest.Digest]*attachedRevision{}, signatures: map[digest.Digest][][]jsontext.Value{}}
	for _, name := range options.FromImages {
		if err := s.repository(ctx, name); err != nil {
			return nil, fmt.Errorf("from images of %s: %w", name, err)
		}
	}
	all := slices.SortedFunc(maps.Values(s.revisions), func(a, b *attachedRevision) int { return a.Tag.Compare(b.Tag) })
	reasons := make([]error, len(all))
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for i, a := range all {
		group.Go(func() error {
			reasons[i] = s.refuse(ctx, a, options.AllowUnsigned)
			return nil
		})
	}
	_ = group.Wait() // never fails: reasons are collected
	var taken []ocilog.Record
	for i, a := range all {
		if reasons[i] == nil {
			taken = append(taken, a.record)
			continue
		}
		c.warn(WarnImage, a.Tag.Name, fmt.Errorf("not taken: %s, which is attached to an image: %w", a.Tag, reasons[i]))
	}
	return c.ofNewNames(ctx, taken)
}

// anybodys reports whether no rule says whose revisions of a name are believed.
func (c *Catalog) anybodys(name string) bool {
	policy := c.policy()
	return policy == nil || policy.For(c.Reference(), name).Warn
}

// ofNewNames leaves out what nobody has verified of names of which something stands:
// these keep what decides them.
func (c *Catalog) ofNewNames(ctx context.Context, all []ocilog.Record) ([]ocilog.Record, error) {
	if !slices.ContainsFunc(all, func(r ocilog.Record) bool { return c.anybodys(r.Tag.Name) }) {
		return all, nil
	}
	view, err := c.log.ReadIncomplete(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, tag := range view.Tags() {
		names[tag.Name] = true
	}
	return slices.DeleteFunc(all, func(r ocilog.Record) bool {
		return c.anybodys(r.Tag.Name) && names[r.Tag.Name] && !view.Lists(r.Tag.String())
	}), nil
}

// refuse says why a revision is not taken.
func (s *imageScan) refuse(ctx context.Context, a *attachedRevision, allowUnsigned bool) error {
	c := s.catalog
	switch {
	case a.Catalog() == "":
		return fmt.Errorf("%w: it does not say in which catalog it was published", entry.ErrUntrusted)
	case a.Catalog() != c.normal:
		return fmt.Errorf("%w: it was published in %s", entry.ErrUntrusted, a.Catalog())
	case a.Document != nil && !a.subjects[a.Document.Image.Digest]:
		return fmt.Errorf("%w: it is of another image, %s", entry.ErrUntrusted, a.Document.Image.Digest)
	}
	if c.anybodys(a.Tag.Name) {
		if !allowUnsigned {
			return fmt.Errorf("%w: no rule of a policy says who may have published it", entry.ErrUntrusted)
		}
		if a.Removal != nil && !s.hasNeighbour(a) {
			return fmt.Errorf("%w: nothing of its name is attached to the image", entry.ErrUntrusted)
		}
		if a.Tag.Time().After(c.options.Now().Add(24 * time.Hour)) {
			return fmt.Errorf("%w: it is dated %s, more than a day ahead", entry.ErrUntrusted, a.Tag.Time())
		}
		a.record.Signatures = slices.Concat(s.signatures[a.Digest]...)
		return nil
	}
	return s.verify(ctx, a)
}

// verify says why the policy does not verify a revision by the signatures beside it, or
// those in the catalog. It leaves it with those that are by somebody whom the rule names.
func (s *imageScan) verify(ctx context.Context, a *attachedRevision) error {
	e := s.catalog.newEvaluator(nil, zeroTime)
	rule := e.rule(a.Tag.Name)
	if !slices.Contains(rule.Require, trust.SubjectEntry) {
		return fmt.Errorf("%w: the policy wants no signature of entries, and anybody who may write beside the image may have written it", entry.ErrUntrusted)
	}
	beside := s.signatures[a.Digest]
	check, known := checkBeside(rule, a.Revision, beside)
	if check.Result != entry.VerdictVerified {
		check, _ = e.lookUp(ctx, rule, trust.SubjectEntry, s.catalog.repository, a.Digest, known...)
	}
	report, _ := judge(rule, a.Revision, []trust.Check{check})
	for _, text := range slices.Concat(beside...) {
		if len(rule.Check(trust.SubjectEntry, a.Digest, evidenceOf([]jsontext.Value{text})).Signers) > 0 {
			a.record.Signatures = append(a.record.Signatures, text)
		}
	}
	return s.catalog.refusal(a.Revision, report)
}

// hasNeighbour reports whether a publication of the name of a removal is beside the same
// image. What it ends need not be: an edit is attached to nothing.
func (s *imageScan) hasNeighbour(a *attachedRevision) bool {
	for _, other := range s.revisions {
		if other.Document == nil || other.Tag.Name != a.Tag.Name {
			continue
		}
		for subject := range a.subjects {
			if other.subjects[subject] {
				return true
			}
		}
	}
	return false
}

// repository reads all manifests of a repository that tags lead to, and what refers to
// them.
func (s *imageScan) repository(ctx context.Context, name string) error {
	ref, err := registry.ParseReference(name)
	if err == nil && (ref.Tag != "" || ref.Digest != "") {
		err = fmt.Errorf("%w: want a repository or oci:PATH, without tag or digest", entry.ErrInvalid)
	}
	if err != nil {
		return err
	}
	repository, err := s.catalog.opener.open(ref)
	if err != nil {
		return err
	}
	tags, err := repository.Tags(ctx)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		return fmt.Errorf("it has no tags: %w", entry.ErrNotFound)
	}
	from := "what is attached in " + ref.Base()
	subjects := map[digest.Digest]bool{}
	err = eachParallel(ctx, tags, func(ctx context.Context, tag string) error {
		if strings.HasPrefix(tag, "sha256-") {
			return nil // a list of referrers, or signatures
		}
		return s.read(ctx, repository, tag, from, func(d digest.Digest) {
			s.mu.Lock()
			defer s.mu.Unlock()
			subjects[d] = true
		})
	})
	if err != nil {
		return err
	}
	return eachParallel(ctx, slices.Collect(maps.Keys(subjects)), func(ctx context.Context, subject digest.Digest) error {
		referrers, err := repository.Referrers(ctx, ocispec.Descriptor{Digest: subject})
		if err != nil && !errors.Is(err, entry.ErrNotFound) {
			return err
		}
		for _, referrer := range attachmentsFirst(referrers) {
			if err := s.read(ctx, repository, referrer.Digest.String(), from, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func eachParallel[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for _, one := range all {
		group.Go(func() error { return do(ctx, one) })
	}
	return group.Wait()
}

// read reads a manifest: a revision or signatures beside an image, or an image. subject is
// told of what may have referrers; nil ignores it.
func (s *imageScan) read(ctx context.Context, repository registry.Repository, reference, from string, subject func(digest.Digest)) error {
	descriptor, manifest, err := repository.Manifest(ctx, reference)
	switch {
	case errors.Is(err, entry.ErrNotFound), errors.Is(err, entry.ErrMalformed), errors.Is(err, absence.ErrAltered):
		return nil // it is lost, too
	case err != nil:
		return err
	}
	var said struct {
		Manifests []ocispec.Descriptor `json:"manifests"`
		Subject   *ocispec.Descriptor  `json:"subject"`
	}
	_ = json.Unmarshal(manifest, &said) // what is no manifest refers to nothing
	if subject != nil {
		subject(descriptor.Digest)
		for _, child := range said.Manifests {
			subject(child.Digest)
		}
		if said.Subject != nil {
			subject(said.Subject.Digest)
		}
	}
	if said.Subject == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if beside, err := revision.ReadSignatures(manifest); err == nil {
		s.signatures[beside.Revision] = append(s.signatures[beside.Revision], beside.Signatures)
		return nil
	}
	found, text, err := unpackAttached(manifest)
	if err != nil {
		return nil // it is something else
	}
	if s.revisions[found.Digest] == nil {
		s.revisions[found.Digest] = &attachedRevision{found, ocilog.Record{Tag: found.Tag, Manifest: text, From: from}, map[digest.Digest]bool{}}
	}
	s.revisions[found.Digest].subjects[said.Subject.Digest] = true
	return nil
}

// unpackAttached reads the publication or removal that a referrer of an image carries.
func unpackAttached(manifest []byte) (*revision.Revision, []byte, error) {
	text, err := revision.UnpackAttachment(manifest)
	if err != nil {
		return nil, nil, err
	}
	document, err := revision.DocumentText(text)
	if err != nil {
		return nil, nil, err
	}
	var said struct {
		Name        string     `json:"name"`
		PublishedAt entry.Time `json:"publishedAt"`
		RemovedAt   entry.Time `json:"removedAt"`
	}
	if err := json.Unmarshal(document, &said); err != nil {
		return nil, nil, err
	}
	tag := revision.NewTag(said.Name, said.PublishedAt, revision.OpPublish, digest.FromBytes(text))
	if said.PublishedAt.IsZero() {
		tag = revision.NewTag(said.Name, said.RemovedAt, revision.OpRemove, digest.FromBytes(text))
	}
	if again, ok := revision.ParseTag(tag.String()); !ok || again != tag {
		return nil, nil, fmt.Errorf("%w: no tag has the name and the time of what is attached", entry.ErrMalformed)
	}
	found, err := revision.Unpack(tag, text)
	return found, text, err
}
