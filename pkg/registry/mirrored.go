package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// mirrored is a repository whose content several places have. What is read by
// digest, each of them is asked for in turn; what cannot be checked by a digest, the
// last one alone.
type mirrored struct {
	Repository // the last place
	client     *Client
	places     []*placed

	mu     sync.Mutex
	trails map[string]*trail // by digest
}

// origin is the last place, where the content was published.
func (m *mirrored) origin() *placed { return m.places[len(m.places)-1] }

// trail is what is known of the places of one content.
type trail struct {
	left []*placed // to be asked, the next one first
	from []*placed // that have sent bytes since the beginning was asked for
	last *placed   // that answered
}

// trail returns that of a content. Places that did not answer a short while ago come
// last.
func (m *mirrored) trail(d string) *trail {
	known := m.trails[d]
	if known == nil {
		var late []*placed
		known = &trail{}
		for _, place := range m.places {
			if m.client.isPassedOver(place) {
				late = append(late, place)
			} else {
				known.left = append(known.left, place)
			}
		}
		known.left = append(known.left, late...)
		m.trails[d] = known
	}
	return known
}

// left are the places to ask for a content, in order.
func (m *mirrored) left(d string) []*placed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.trail(d).left)
}

// answered remembers that a place had a content.
func (m *mirrored) answered(d string, place *placed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trail(d).last = place
}

// each asks the places for a content until one answers. If none does, the error is
// that of the last one, where the content was published: that a mirror lacks it or
// cannot be asked says nothing about the content.
func (m *mirrored) each(ctx context.Context, d string, question func(Repository) error) error {
	var decides error
	var others []string
	for _, place := range m.left(d) {
		err := place.ask(question)
		if err == nil {
			m.answered(d, place)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		m.failed(ctx, d, place, err)
		if place == m.origin() {
			decides = err
		} else {
			others = append(others, fmt.Sprintf("%s: %v", place.base, err))
		}
	}
	switch {
	case decides != nil && len(others) > 0:
		return fmt.Errorf("%w; and of its mirrors, %s", decides, strings.Join(others, "; "))
	case decides != nil:
		return decides
	}
	return fmt.Errorf("%w: %s: %s has sent other bytes", entry.ErrMalformed, d, m.origin().base)
}

// failed takes note of a place that did not answer: it is asked last, or no more if
// what it has is not the content.
func (m *mirrored) failed(ctx context.Context, d string, place *placed, err error) {
	m.mu.Lock()
	t := m.trail(d)
	if n := slices.Index(t.left, place); n >= 0 {
		t.left = slices.Delete(t.left, n, n+1)
		if !errors.Is(err, entry.ErrMalformed) {
			t.left = append(t.left, place)
		}
	}
	m.mu.Unlock()
	m.client.passOver(ctx, place, err)
	if place != m.origin() && !errors.Is(err, entry.ErrNotFound) {
		m.client.warn(ctx, []string{fmt.Sprintf("mirror %s is passed over: %v", place.base, err)})
	}
}

// Everywhere asks all places what each of them knows for itself: what refers to a
// content, what its tags are. Those that did not answer a short while ago are left out
// where others are there to ask. The error is that of the last one, if none answers.
func (m *mirrored) Everywhere(ctx context.Context, question func(Repository) error) error {
	places := slices.DeleteFunc(slices.Clone(m.places), m.client.isPassedOver)
	if len(places) == 0 {
		places = m.places
	}
	var last error
	answered := false
	for _, place := range places {
		err := place.ask(question)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if answered = answered || err == nil; err != nil {
			last = err
			m.client.passOver(ctx, place, err)
			m.client.warn(ctx, []string{fmt.Sprintf("%s is passed over: %v", place.base, err)})
		}
	}
	if answered {
		return nil
	}
	return last
}

// byDigest reports whether a reference is a digest.
func byDigest(reference string) bool { return strings.Contains(reference, ":") }

// Resolve implements Repository.
func (m *mirrored) Resolve(ctx context.Context, reference string) (found ocispec.Descriptor, err error) {
	if !byDigest(reference) {
		return m.Repository.Resolve(ctx, reference)
	}
	err = m.each(ctx, reference, func(r Repository) error {
		found, err = r.Resolve(ctx, reference)
		return err
	})
	return found, err
}

// Manifest implements Repository.
func (m *mirrored) Manifest(ctx context.Context, reference string) (found ocispec.Descriptor, text []byte, err error) {
	if !byDigest(reference) {
		return m.Repository.Manifest(ctx, reference)
	}
	err = m.each(ctx, reference, func(r Repository) error {
		found, text, err = r.Manifest(ctx, reference)
		return err
	})
	return found, text, err
}

// Blob implements Repository.
func (m *mirrored) Blob(ctx context.Context, descriptor ocispec.Descriptor) (content []byte, err error) {
	err = m.each(ctx, descriptor.Digest.String(), func(r Repository) error {
		content, err = r.Blob(ctx, descriptor)
		return err
	})
	return content, err
}

// StatBlob implements Repository.
func (m *mirrored) StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error {
	return m.each(ctx, descriptor.Digest.String(), func(r Repository) error { return r.StatBlob(ctx, descriptor) })
}

// leastSent is how many bytes a place sends before it breaks, to be asked to go on.
const leastSent = 1 << 10

// OpenBlob implements Repository. Where a place breaks without having sent leastSent
// bytes, the next call asks another one first.
func (m *mirrored) OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (content io.ReadCloser, from int64, err error) {
	d := descriptor.Digest.String()
	err = m.each(ctx, d, func(r Repository) error {
		content, from, err = r.OpenBlob(ctx, descriptor, offset)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.trail(d)
	if offset == 0 {
		t.from = nil
	}
	least := int(min(descriptor.Size-from, leastSent))
	return &mirroredBody{ReadCloser: content, ctx: ctx, of: m, d: d, place: t.last, least: least}, from, nil
}

// mirroredBody is what a place sends.
type mirroredBody struct {
	io.ReadCloser
	ctx   context.Context // of OpenBlob, as long as the body lives
	of    *mirrored
	d     string
	place *placed
	sent  int // bytes
	least int // of them, before it may break
}

func (b *mirroredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && b.sent == 0 {
		b.of.sent(b.d, b.place)
	}
	if b.sent += n; err != nil && b.sent < b.least {
		b.broken(err)
	}
	return n, err
}

// broken notes that a place broke. That nobody wants the body any more says nothing of
// the place, unless it is because too little came.
func (b *mirroredBody) broken(err error) {
	if cause := context.Cause(b.ctx); cause != nil {
		if !errors.Is(cause, entry.ErrUnreachable) {
			return
		}
		err = cause
	}
	b.of.failed(context.WithoutCancel(b.ctx), b.d, b.place, err)
}

// sent remembers that a place has sent bytes of a content.
func (m *mirrored) sent(d string, place *placed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.trail(d); !slices.Contains(t.from, place) {
		t.from = append(t.from, place)
	}
}

// Answered returns the repository that a content came from, the last of several; ""
// is none.
func (m *mirrored) Answered(d digest.Digest) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := m.trail(d.String()).last; last != nil {
		return last.base
	}
	return ""
}

// Reject says that what was sent of a content, from its beginning on, is not right.
// The place that sent the first of it is not asked for it any more; whether others
// are left is reported. Where several have sent parts, the one that was right is
// found by asking again. Each round has a place less: with none to blame, there are
// no others.
func (m *mirrored) Reject(ctx context.Context, d digest.Digest, reason error) (others bool) {
	m.mu.Lock()
	t := m.trail(d.String())
	guilty, sent := t.last, len(t.from) > 0
	if sent {
		guilty = t.from[0]
	}
	t.from = nil
	n := slices.Index(t.left, guilty)
	if n >= 0 {
		t.left = slices.Delete(t.left, n, n+1)
	}
	others = len(t.left) > 0 && (n >= 0 || sent)
	m.mu.Unlock()
	if others && guilty != nil {
		m.client.warn(ctx, []string{fmt.Sprintf("%s sent what is not right, another place is asked: %v", guilty.base, reason)})
	}
	return others
}
