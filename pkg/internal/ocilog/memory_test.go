package ocilog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// memory is a repository whose faults a test switches on.
type memory struct {
	mu        sync.Mutex
	tags      map[string]digest.Digest
	manifests map[digest.Digest][]byte
	blobs     map[digest.Digest][]byte
	requests  map[string]int // by operation

	hide   func(tag string) bool                                 // not listed, but there
	failOn func(operation, reference string) error               // before the operation
	alter  func(operation, reference string, body []byte) []byte // after it
}

func newMemory() *memory {
	return &memory{tags: map[string]digest.Digest{}, manifests: map[digest.Digest][]byte{}, blobs: map[digest.Digest][]byte{}, requests: map[string]int{}}
}

func (m *memory) begin(operation, reference string) error {
	m.requests[operation]++
	if m.failOn != nil {
		return m.failOn(operation, reference)
	}
	return nil
}

func (m *memory) Delete(context.Context, string) error { return entry.ErrUnauthorized }

func (m *memory) Tags(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("tags", ""); err != nil {
		return nil, err
	}
	var listed []string
	for tag := range m.tags {
		if m.hide == nil || !m.hide(tag) {
			listed = append(listed, tag)
		}
	}
	return listed, nil
}

func (m *memory) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("resolve", reference); err != nil {
		return ocispec.Descriptor{}, err
	}
	sum, ok := m.tags[reference]
	if !ok {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", reference, entry.ErrNotFound)
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sum, Size: int64(len(m.manifests[sum]))}, nil
}

func (m *memory) Manifest(_ context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("manifest", reference); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	sum, ok := m.tags[reference]
	if byDigest, err := digest.Parse(reference); err == nil {
		sum, ok = byDigest, m.manifests[byDigest] != nil
	}
	if !ok {
		return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w", reference, entry.ErrNotFound)
	}
	body := m.manifests[sum]
	if m.alter != nil {
		body = m.alter("manifest", reference, body)
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body))}, body, nil
}

func (m *memory) Blob(_ context.Context, d ocispec.Descriptor) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("blob", d.Digest.String()); err != nil {
		return nil, err
	}
	body, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, entry.ErrNotFound)
	}
	if m.alter != nil {
		body = m.alter("blob", d.Digest.String(), body)
	}
	if digest.FromBytes(body) != d.Digest {
		return nil, fmt.Errorf("%s: altered: %w", d.Digest, entry.ErrUnreachable)
	}
	return body, nil
}

func (m *memory) PushBlob(_ context.Context, d ocispec.Descriptor, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("push blob", d.Digest.String()); err != nil {
		return err
	}
	m.blobs[d.Digest] = slices.Clone(content)
	return nil
}

func (m *memory) PushManifest(_ context.Context, d ocispec.Descriptor, manifest []byte, reference string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("push manifest", reference); err != nil {
		return err
	}
	m.manifests[d.Digest] = slices.Clone(manifest)
	if reference != d.Digest.String() {
		m.tags[reference] = d.Digest
	}
	return nil
}

// unspent is a budget for a test that looks into a segment by itself.
func unspent(t testing.TB) *budget {
	b, end := newBudget(t.Context())
	t.Cleanup(end)
	return b
}

// counted runs step and returns the requests it made.
func (m *memory) counted(step func()) map[string]int {
	m.mu.Lock()
	m.requests = map[string]int{}
	m.mu.Unlock()
	step()
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.requests)
}

func (m *memory) snapshots() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	for tag := range m.tags {
		if parsed, ok := revision.ParseTag(tag); ok && parsed.Op == revision.OpSnapshot {
			found = append(found, tag)
		}
	}
	slices.Sort(found)
	return found
}

// newLog is New for registries that lag by no more than a moment.
func newLog(target Target, id string, options Options) *Log {
	options.Recheck = time.Millisecond
	return New(target, id, options)
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock ticks one millisecond a look, so that no two revisions are of the same
// time unless a test wants it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.IsZero() {
		c.now = epoch
	}
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func publication(t testing.TB, name string, at time.Time, version string) *revision.Packed {
	t.Helper()
	return publicationBy(t, "tester", name, at, version)
}

func publicationBy(t testing.TB, author, name string, at time.Time, version string) *revision.Packed {
	t.Helper()
	packed, err := revision.Pack(&revision.Document{
		Name: name, Version: version,
		Image: revision.Image{
			Reference: "registry.example.com/os/" + name + ":" + version, Digest: digest.FromString(name + version),
			MediaType: ocispec.MediaTypeImageManifest, Size: 1234,
		},
		Source: entry.Source{Type: entry.SourceManual}, PublishedAt: entry.NewTime(at), PublishedBy: author,
	}, revision.Seen{})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func removal(t testing.TB, name string, at time.Time) *revision.Packed {
	t.Helper()
	packed, err := revision.PackRemoval(&revision.Removal{Name: name, RemovedAt: entry.NewTime(at), Revision: digest.FromString("x")}, revision.Seen{})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// fill publishes count entries, compacting as a writer does, and returns their
// names in order.
func fill(t testing.TB, target *memory, c *clock, count int) []string {
	t.Helper()
	log := newLog(target, "fill", Options{Now: c.Now})
	var names []string
	for i := range count {
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("entry-%04d", i)
		names = append(names, name)
		if err := log.Append(t.Context(), publication(t, name, c.Now(), "1"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Compact(t.Context(), view); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// live reads the log anew and returns the live names in order, with the
// warnings that came along.
func live(t testing.TB, log *Log) ([]string, []error) {
	t.Helper()
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := liveOf(t.Context(), view, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, revision := range revisions {
		names = append(names, revision.Tag.Name)
	}
	return names, view.Warnings()
}

// liveOf returns the heads of a view that are live.
func liveOf(ctx context.Context, view *View, asOf time.Time) ([]*revision.Revision, error) {
	heads, err := view.Heads(ctx, asOf)
	return slices.DeleteFunc(heads, func(head *revision.Revision) bool { return !head.Live() }), err
}
