package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
)

// What goes wrong before a byte of a blob is written costs that blob; later, the
// archive.
func TestWhatABrokenSourceCosts(t *testing.T) {
	large := noise(small + 1)
	altered := slices.Clone(large)
	altered[small] ^= 1
	ends := func(after int) *source {
		return &source{open: func(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
			if offset >= int64(after) {
				return nil, fmt.Errorf("%w: it is gone", entry.ErrNotFound)
			}
			return io.NopCloser(bytes.NewReader(large[offset:after])), nil
		}}
	}
	for what, c := range map[string]struct {
		content []byte
		from    *source
		lost    bool
		want    error
	}{
		"a small one is altered":       {large[:small], holding(altered[1 : small+1]), false, entry.ErrMalformed},
		"a small one breaks off":       {large[:small], ends(100), false, entry.ErrNotFound},
		"a large one is not there":     {large, ends(0), false, entry.ErrNotFound},
		"a large one breaks off":       {large, ends(100), true, entry.ErrNotFound},
		"a large one is altered":       {large, holding(altered), true, entry.ErrMalformed},
		"a large one goes on too long": {large, holding(append(slices.Clone(large), 1)), true, entry.ErrMalformed},
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out, options())
		must(t, err)
		d := describe("", c.content)
		if _, err := w.CopyBlob(t.Context(), d, c.from); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
		_, _, pushed := w.OpenBlob(t.Context(), d, 0)
		if c.lost {
			other := describe("", []byte("other"))
			_, tags := w.Tags(t.Context())
			for i, err := range []error{w.PushBlob(t.Context(), other, []byte("other")), w.StatBlob(t.Context(), other), w.CanPush(t.Context()), tags, pushed, w.Close(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), "the archive is lost") || !errors.Is(err, c.want) {
					t.Errorf("%s, then call %d: got %v, want that the archive is lost", what, i, err)
				}
			}
			refused(t, what, out.Bytes())
			continue
		}
		if !errors.Is(pushed, entry.ErrNotFound) {
			t.Errorf("%s, then: got %v, want not found", what, pushed)
		}
		if moved, err := w.CopyBlob(t.Context(), d, holding(c.content)); err != nil || moved != d.Size {
			t.Errorf("%s, then whole: moved %d, %v", what, moved, err)
		}
		must(t, w.Close(t.Context()))
		must(t, opened(t, out.Bytes()).StatBlob(t.Context(), d))
	}
}

// A disk that is full loses the archive.
func TestADiskThatIsFull(t *testing.T) {
	s := newSample(t, 100<<10)
	whole := archived(t, false, options(), func(w *Writer) { s.write(t, w) })
	full := errors.New("no space left")
	for at := 0; at < len(whole); at += len(whole) / 50 {
		left := at
		to := writer(func(p []byte) (int, error) {
			if left -= len(p); left < 0 {
				return 0, full
			}
			return len(p), nil
		})
		w, err := NewWriter(to, options())
		if err == nil {
			_, err = w.CopyBlob(t.Context(), s.large, holding(s.largeContent))
		}
		if err == nil {
			err = w.PushManifest(t.Context(), s.image, s.imageText, imageTag)
		}
		if err == nil {
			err = w.Close(t.Context())
		}
		if at < 100<<10 && !errors.Is(err, full) {
			t.Errorf("full after %d bytes: got %v, want that", at, err)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// What is pushed has to be what its descriptor says.
func TestPushChecks(t *testing.T) {
	w, err := NewWriter(io.Discard, options())
	must(t, err)
	d, manifest := manifestOf(t, "application/x", nil)
	other := d
	other.Digest = digest.FromString("other")
	longer := d
	longer.Size++
	none := d
	none.Digest = "sha256:../x"
	negative := d
	negative.Size = -1
	for _, d := range []ocispec.Descriptor{other, longer, none, negative} {
		_, copied := w.CopyBlob(t.Context(), d, holding(append(manifest, 1)))
		for i, err := range []error{w.PushBlob(t.Context(), d, manifest), w.PushManifest(t.Context(), d, manifest, "x"), w.PushReferrer(t.Context(), d, manifest, d), copied} {
			if code := entry.Code(err); code != "invalid" && code != "malformed" && code != "unreachable" {
				t.Errorf("%v, call %d: got %v, want invalid", d, i, err)
			}
		}
	}
	large := make([]byte, maxManifest+1)
	if err := w.PushManifest(t.Context(), describe("", large), large, "x"); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a manifest that nobody reads: got %v, want invalid", err)
	}
	must(t, w.Close(t.Context()))
	if err := w.PushBlob(t.Context(), d, manifest); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("after the end: got %v, want invalid", err)
	}
}

// Many callers write at once, and one whose source is slow keeps nobody waiting.
func TestParallelCallers(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, options())
	must(t, err)
	slow, wait, begun := []byte("slow"), make(chan struct{}), make(chan struct{})
	from := &source{open: func(context.Context, ocispec.Descriptor, int64) (io.ReadCloser, error) {
		close(begun)
		<-wait
		return io.NopCloser(bytes.NewReader(slow)), nil
	}}
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := w.CopyBlob(t.Context(), describe("", slow), from); err != nil {
			t.Errorf("the slow one: %v", err)
		}
	})
	testwait.Receive(t, "the slow source to be asked", begun)
	var others sync.WaitGroup
	for i := range 8 {
		others.Go(func() {
			for j := range 20 {
				blob := noise(1000*(j+1) + i/2) // two callers have the same
				if _, err := w.CopyBlob(t.Context(), describe("", blob), holding(blob)); err != nil {
					t.Errorf("%d, %d: %v", i, j, err)
				}
				d, manifest := manifestOf(t, fmt.Sprint(i/2), nil, describe("", blob))
				if err := w.PushManifest(t.Context(), d, manifest, fmt.Sprintf("t%d-%d", i, j)); err != nil {
					t.Errorf("%d, %d: %v", i, j, err)
				}
			}
		})
	}
	testwait.Return(t, "the others, whom the slow one keeps waiting", others.Wait)
	close(wait)
	testwait.Return(t, "the slow one", all.Wait)
	must(t, w.Close(t.Context()))
	r := opened(t, out.Bytes())
	if tags, err := r.Tags(t.Context()); err != nil || len(tags) != 160 || len(r.Contents.Blobs) != 161 {
		t.Errorf("%d tags and %d blobs, %v, want 160 and 161", len(tags), len(r.Contents.Blobs), err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for tag := range r.tags {
				if _, _, err := r.Manifest(t.Context(), tag); err != nil {
					t.Errorf("%s: %v", tag, err)
				}
			}
		})
	}
	testwait.Return(t, "the readers", readers.Wait)
}

// Whoever waits for the turn waits no longer than its context.
func TestInterrupted(t *testing.T) {
	w, err := NewWriter(io.Discard, options())
	must(t, err)
	release, err := w.takeTurn(t.Context())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.PushBlob(ctx, describe("", []byte("x")), []byte("x")); !errors.Is(err, entry.ErrTimeout) {
		t.Errorf("got %v, want that the time ran out", err)
	}
	release()
	must(t, w.Close(t.Context()))
	text := archived(t, true, options(), func(*Writer) {})
	if _, err := Open(ctx, bytes.NewReader(text), int64(len(text))); !errors.Is(err, entry.ErrTimeout) {
		t.Errorf("got %v, want that the time ran out", err)
	}
}

// A large blob is never in memory.
func TestMemoryIsBounded(t *testing.T) {
	const size = 64 << 20
	verifier := digest.SHA256.Hash()
	_, err := io.CopyN(verifier, zeros{}, size)
	must(t, err)
	d := ocispec.Descriptor{Digest: digest.NewDigest(digest.SHA256, verifier), Size: size}
	from := &source{open: func(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeros{}, size-offset)), nil
	}}
	path := t.TempDir() + "/large.tar"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, Create(t.Context(), path, false, options(), func(w *Writer) error {
		_, err := w.CopyBlob(t.Context(), d, from)
		return err
	}))
	r, err := OpenFile(t.Context(), path)
	must(t, err)
	defer r.Close()
	content, _, err := r.OpenBlob(t.Context(), d, 0)
	must(t, err)
	n, err := io.Copy(io.Discard, content)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; err != nil || n != size || grown > size/4 {
		t.Errorf("%d bytes of memory for a blob of %d: %d read, %v", grown, size, n, err)
	}
}
