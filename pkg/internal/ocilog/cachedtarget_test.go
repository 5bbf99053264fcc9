package ocilog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func TestOnlyBlobsThatEveryProcessReadsAreCached(t *testing.T) {
	for mediaType, cached := range map[string]bool{
		revision.MediaTypeSegment: true, revision.MediaTypeStatuses: true,
		revision.MediaTypeEntry: false, ocispec.MediaTypeEmptyJSON: false, "": false,
	} {
		t.Run(mediaType, func(t *testing.T) {
			target := newMemory()
			wrap := func(dir string) Target { return NewCache(dir, 0).wrap(target) }
			content := []byte("content of " + mediaType)
			descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
			pushed, fetched := t.TempDir(), t.TempDir()
			if err := wrap(pushed).PushBlob(t.Context(), descriptor, content); err != nil {
				t.Fatal(err)
			}
			read := func(dir string) map[string]int {
				return target.counted(func() {
					got, err := wrap(dir).Blob(t.Context(), descriptor)
					if err != nil || string(got) != string(content) {
						t.Errorf("got %q, %v, want %q", got, err, content)
					}
				})
			}
			one, none := map[string]int{"blob": 1}, map[string]int{}
			if !cached {
				none = one
			}
			for _, tt := range []struct {
				name, dir string
				want      map[string]int
			}{
				{"after the push", pushed, none}, {"first fetch", fetched, one}, {"second fetch", fetched, none},
			} {
				if diff := cmp.Diff(tt.want, read(tt.dir)); diff != "" {
					t.Errorf("requests, %s (-want +got)\n%s", tt.name, diff)
				}
			}
			paths, _ := files(t, fetched)
			if got := len(paths) == 1; got != cached {
				t.Fatalf("files of the cache: got %v, want one: %v", paths, cached)
			}
			for _, path := range paths {
				write(t, path, []byte("something else"))
				if diff := cmp.Diff(one, read(fetched)); diff != "" {
					t.Errorf("requests, file altered (-want +got)\n%s", diff)
				}
			}
		})
	}
}

// What the target refused is not stored.
func TestAFailedPushIsNotCached(t *testing.T) {
	target, dir := newMemory(), t.TempDir()
	target.failOn = func(string, string) error { return entry.ErrUnauthorized }
	d := ocispec.Descriptor{MediaType: revision.MediaTypeSegment, Digest: digest.FromString("x"), Size: 1}
	if err := NewCache(dir, 0).wrap(target).PushBlob(t.Context(), d, []byte("x")); !errors.Is(err, entry.ErrUnauthorized) {
		t.Errorf("push: got error %v, want unauthorized", err)
	}
	if paths, _ := files(t, dir); len(paths) > 0 {
		t.Errorf("the cache holds %v, want nothing", paths)
	}
}

// datedMemory is a target whose registry says what time it is.
type datedMemory struct{ *memory }

func (datedMemory) Date() time.Time { return epoch }

func TestACacheInFrontOfATargetPassesItsDateOn(t *testing.T) {
	cache := NewCache(t.TempDir(), 0)
	if got := New(datedMemory{newMemory()}, "test", Options{Cache: cache}).date(); !got.Equal(epoch) {
		t.Errorf("date: got %v, want %v", got, epoch)
	}
	if got := New(newMemory(), "test", Options{Cache: cache}).date(); !got.IsZero() {
		t.Errorf("date of a target without one: got %v, want none", got)
	}
}

// A cache that lost a segment is an error without a request, for a Log that
// never read it and for one that did; and neither takes it for a false claim.
func TestReadCachedWithoutASegmentAsksNothing(t *testing.T) {
	for _, warm := range []bool{false, true} {
		target, c := newMemory(), &clock{}
		names := fill(t, target, c, 100)
		dir := t.TempDir()
		log := newLog(target, "test", Options{Cache: NewCache(dir, 0)})
		live(t, log)
		if !warm {
			log = newLog(target, "test", Options{Cache: NewCache(dir, 0)})
		}
		log.Release()
		if err := os.RemoveAll(filepath.Join(dir, "segments")); err != nil {
			t.Fatal(err)
		}
		requests := target.counted(func() {
			if _, err := log.ReadCached(t.Context()); !errors.Is(err, entry.ErrNotFound) {
				t.Errorf("warm %v: got error %v, want not found", warm, err)
			}
		})
		if len(requests) > 0 {
			t.Errorf("warm %v: requests %v, want none", warm, requests)
		}
		var got []string
		requests = target.counted(func() { got, _ = live(t, log) })
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("warm %v: read afterwards (-want +got)\n%s", warm, diff)
		}
		if requests["manifest"] > 0 || requests["blob"] == 0 {
			t.Errorf("warm %v: requests %v, want the segments and no manifest", warm, requests)
		}
		if _, err := log.ReadCached(t.Context()); err != nil {
			t.Errorf("warm %v: read cached once the segments are back: %v", warm, err)
		}
	}
}
