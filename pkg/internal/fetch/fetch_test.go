package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// registry is a source whose answers are what a test says, the last of them again
// and again.
type registry struct {
	content []byte
	answers []answer
	asked   []int64 // the offsets
}

// answer is how one question is answered.
type answer struct {
	err     error  // instead of a body
	most    int    // bytes, then the body breaks; 0 is all
	whole   bool   // begins at 0, whatever was asked for
	content []byte // another body than the blob's; nil is the blob's
	hangs   bool   // where it would break
}

func (r *registry) OpenBlob(ctx context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	r.asked = append(r.asked, offset)
	a := answer{}
	if len(r.answers) > 0 {
		a = r.answers[min(len(r.asked), len(r.answers))-1]
	}
	if a.err != nil {
		return nil, 0, a.err
	}
	if a.whole {
		offset = 0
	}
	content := r.content
	if a.content != nil {
		content = a.content
	}
	content = content[min(int(offset), len(content)):]
	if a.most == 0 {
		return io.NopCloser(bytes.NewReader(content)), offset, nil
	}
	breaks := readFunc(func([]byte) (int, error) { return 0, fmt.Errorf("%w: cut", entry.ErrUnreachable) })
	if a.hangs {
		breaks = func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(content[:min(a.most, len(content))]), breaks)), offset, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func describe(content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
}

var blob = bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB

func TestBlob(t *testing.T) {
	altered := bytes.Clone(blob)
	altered[700_000] ^= 1
	gone := fmt.Errorf("blob: %w", entry.ErrNotFound)
	refused := fmt.Errorf("blob: %w", entry.ErrUnauthorized)
	down := fmt.Errorf("blob: %w", entry.ErrUnreachable)
	for _, tt := range []struct {
		name    string
		answers []answer
		begun   []byte
		want    error   // nil is none
		asked   []int64 // nil is not looked at
	}{
		{"at once", nil, nil, nil, []int64{0}},
		{"in pieces", []answer{{most: 300_000}, {most: 1}, {most: 400_000}, {}}, nil, nil, []int64{0, 300_000, 300_001, 700_001}},
		{"no ranges", []answer{{most: 300_000}, {whole: true}}, nil, nil, []int64{0, 300_000}},
		{"no ranges, and broken", []answer{{most: 300_000}, {whole: true, most: 200_000}, {whole: true}}, nil, nil, []int64{0, 300_000, 300_000}},
		{"from what was begun", nil, blob[:500_000], nil, []int64{500_000}},
		{"all of it was begun", nil, blob, nil, []int64{}},
		{"refused for a while", []answer{{most: 300_000}, {err: refused}, {err: refused}, {}}, nil, nil, nil},
		{"down for a while", []answer{{err: down}, {err: down}, {most: 5}, {err: down}, {}}, nil, nil, nil},
		{"stalls", []answer{{most: 300_000, hangs: true}, {}}, nil, nil, []int64{0, 300_000}},

		{"altered", []answer{{content: altered}}, nil, ErrAltered, []int64{0}},
		{"begun wrongly", nil, altered[:800_000], ErrAltered, nil},
		{"another one", []answer{{content: bytes.Repeat([]byte("x"), len(blob))}}, nil, ErrAltered, nil},
		{"longer", []answer{{content: append(bytes.Clone(blob), 'x')}}, nil, entry.ErrMalformed, nil},
		{"always cut", []answer{{content: blob[:1000], most: 1000}}, nil, entry.ErrUnreachable, nil},
		{"always stalls", []answer{{content: blob[:1000], most: 1000, hangs: true}}, nil, entry.ErrUnreachable, nil},
		{"gone", []answer{{err: gone}}, nil, entry.ErrNotFound, []int64{0}},
		{"gone meanwhile", []answer{{most: 5}, {err: gone}}, nil, entry.ErrNotFound, []int64{0, 5}},
		{"refused", []answer{{err: refused}}, nil, entry.ErrUnauthorized, []int64{0}},
		{"refused for good", []answer{{most: 5}, {err: refused}}, nil, entry.ErrUnauthorized, []int64{0, 5, 5, 5}},
		{"down", []answer{{err: down}}, nil, entry.ErrUnreachable, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &registry{content: blob, answers: tt.answers}
				var got, stored bytes.Buffer
				options := Options{Store: &stored}
				if tt.begun != nil {
					options.Begun, options.BegunSize = bytes.NewReader(tt.begun), int64(len(tt.begun))
				}
				err := Blob(t.Context(), source, describe(blob), &got, options)
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Fatalf("got error %v, want %v", err, tt.want)
				}
				if err == nil && !bytes.Equal(got.Bytes(), blob) {
					t.Errorf("got %d bytes that are not the blob", got.Len())
				}
				if all := append(bytes.Clone(tt.begun), stored.Bytes()...); !bytes.Equal(all, got.Bytes()) {
					t.Errorf("what is stored has %d bytes, and was written %d", len(all), got.Len())
				}
				if tt.asked != nil && fmt.Sprint(source.asked) != fmt.Sprint(tt.asked) {
					t.Errorf("asked for %v, want %v", source.asked, tt.asked)
				}
			})
		})
	}
}

// dripping is a source that sends so many bytes at a time, each after a while.
func dripping(opened *int, bytes int, every time.Duration, size int64) sourceFunc {
	return func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		*opened++
		slow := readFunc(func(p []byte) (int, error) {
			select {
			case <-time.After(every):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			n := min(bytes, len(p))
			clear(p[:n])
			return n, nil
		})
		return io.NopCloser(io.LimitReader(slow, size-offset)), offset, nil
	}
}

// As long as there is progress, no time is too long.
func TestSlowIsNotBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := make([]byte, 1000*Least)
		opened := 0
		start := time.Now()
		source := dripping(&opened, Least/2, stall/2-time.Second, int64(len(content)))
		if err := Blob(t.Context(), source, describe(content), io.Discard, Options{}); err != nil {
			t.Fatal(err)
		}
		if opened != 1 || time.Since(start) < 10*time.Hour {
			t.Errorf("opened %d times in %s, want once for all of it", opened, time.Since(start))
		}
	})
}

// A byte now and then is no progress: it ends, and says where. Time that a writer
// takes does not count.
func TestDripping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := make([]byte, 100*Least)
		opened := 0
		var got bytes.Buffer
		slowly := writeFunc(func(p []byte) (int, error) { time.Sleep(time.Hour); return got.Write(p) })
		err := Blob(t.Context(), dripping(&opened, 1, time.Second, int64(len(content))), describe(content), slowly, Options{})
		if want := fmt.Sprintf("at %d of %d bytes: unreachable: it stalls", got.Len(), len(content)); !errors.Is(err, entry.ErrUnreachable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want unreachable, %s", err, want)
		}
		if opened != attempts || got.Len() < attempts*50 {
			t.Errorf("opened %d times for %d bytes, want %d times with a minute of bytes each", opened, got.Len(), attempts)
		}
	})
}

type sourceFunc func(context.Context, int64) (io.ReadCloser, int64, error)

func (f sourceFunc) OpenBlob(ctx context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	return f(ctx, offset)
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		source := &registry{content: blob, answers: []answer{{most: 1000, hangs: true}}}
		time.AfterFunc(time.Second, cancel)
		if err := Blob(ctx, source, describe(blob), io.Discard, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was canceled", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Blob(ctx, source, describe(blob), io.Discard, Options{}); !errors.Is(err, entry.ErrTimeout) {
			t.Errorf("got %v, want a time-out", err)
		}
	})
}

// What a writer refuses is not asked for again.
func TestWritersDecide(t *testing.T) {
	full := errors.New("disk full")
	writer := writeFunc(func([]byte) (int, error) { return 0, full })
	for name, options := range map[string]Options{"the reader": {}, "the store": {Store: writer}} {
		source := &registry{content: blob}
		to := io.Writer(writer)
		if options.Store != nil {
			to = io.Discard
		}
		if err := Blob(t.Context(), source, describe(blob), to, options); err != full || len(source.asked) != 1 {
			t.Errorf("%s: got %v after %d requests, want its own error after one", name, err, len(source.asked))
		}
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }
