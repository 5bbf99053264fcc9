package archive

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What was written is what is read, from the writer and from the archive.
func TestWhatIsWrittenIsRead(t *testing.T) {
	for form, compress := range forms {
		t.Run(form, func(t *testing.T) {
			s := newSample(t, small+1000)
			text := archived(t, compress, options(), func(w *Writer) {
				s.write(t, w)
				s.check(t, w, nil)
			})
			r := opened(t, text)
			s.check(t, r, map[string]string{"of": "application/x.referrer"})
			for _, offset := range []int64{0, 1, frameSize - 1, frameSize, s.large.Size - 1, s.large.Size} {
				content, from, err := r.OpenBlob(t.Context(), s.large, offset)
				if err != nil || from != offset {
					t.Fatalf("the blob from %d on: it begins at %d, %v", offset, from, err)
				}
				if got, err := io.ReadAll(content); err != nil || !bytes.Equal(got, s.largeContent[offset:]) {
					t.Errorf("the blob from %d on: %d bytes that are not right, %v", offset, len(got), err)
				}
			}
			if got := r.Contents; got.Catalog != catalogName || got.Created != "2026-03-01T12:00:00Z" || len(got.Blobs) != 7 {
				t.Errorf("the contents are %+v", got)
			}
			if again := archived(t, compress, options(), func(w *Writer) { s.write(t, w) }); !bytes.Equal(again, text) {
				t.Error("the same content gives other bytes")
			}
		})
	}
}

// check reads a sample from a repository.
func (s *sample) check(t *testing.T, r registry.Repository, annotations map[string]string) {
	t.Helper()
	ctx := t.Context()
	tags, err := r.Tags(ctx)
	slices.Sort(tags)
	if diff := cmp.Diff([]string{imageTag, otherTag}, tags); err != nil || diff != "" {
		t.Errorf("tags: %v\n%s", err, diff)
	}
	for reference, text := range map[string][]byte{imageTag: s.imageText, otherTag: s.imageText, s.image.Digest.String(): s.imageText, s.child.Digest.String(): s.childText} {
		want := describe(ocispec.MediaTypeImageManifest, text)
		d, got, err := r.Manifest(ctx, reference)
		d.ArtifactType = ""
		if diff := cmp.Diff(want, d); err != nil || diff != "" || !bytes.Equal(got, text) {
			t.Errorf("%s: %v\n%s", reference, err, diff)
		}
	}
	if got, err := r.Blob(ctx, s.empty); err != nil || string(got) != "{}" {
		t.Errorf("the config is %q, %v", got, err)
	}
	for _, d := range []ocispec.Descriptor{s.layer, s.large, describe("", nil)} {
		if err := r.StatBlob(ctx, d); err != nil {
			t.Errorf("blob of %d bytes: %v", d.Size, err)
		}
		d.Size++
		if err := r.StatBlob(ctx, d); !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("blob of another size: got %v, want malformed", err)
		}
	}
	want := s.referrer
	want.ArtifactType, want.Annotations = "application/x.referrer", annotations
	got, err := r.Referrers(ctx, s.image)
	if diff := cmp.Diff([]ocispec.Descriptor{want}, got); err != nil || diff != "" {
		t.Errorf("referrers: %v\n%s", err, diff)
	}
	absent := describe("", []byte("absent"))
	_, blob := r.Blob(ctx, absent)
	_, byTag := r.Resolve(ctx, "absent")
	_, byDigest := r.Resolve(ctx, absent.Digest.String())
	_, isBlob := r.Resolve(ctx, s.layer.Digest.String())
	for i, err := range []error{blob, byTag, byDigest, isBlob, r.StatBlob(ctx, absent)} {
		if !errors.Is(err, entry.ErrNotFound) {
			t.Errorf("what is not there (%d): got %v, want not found", i, err)
		}
	}
}

// A file has its name once it is whole.
func TestCreate(t *testing.T) {
	s := newSample(t, 1000)
	for form := range forms {
		dir := t.TempDir()
		path := filepath.Join(dir, "backup."+form)
		write := func(w *Writer) error {
			s.write(t, w)
			if _, err := os.Lstat(path); err == nil {
				t.Error("the file has its name before it is whole")
			}
			return nil
		}
		broken := errors.New("broken")
		if err := Create(t.Context(), path, false, options(), func(w *Writer) error { s.write(t, w); return broken }); !errors.Is(err, broken) {
			t.Errorf("got %v, want the writer's error", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("a failed backup leaves %v, %v", left, err)
		}
		must(t, Create(t.Context(), path, false, options(), write))
		if err := Create(t.Context(), path, false, options(), write); !errors.Is(err, entry.ErrConflict) {
			t.Errorf("an existing file: got %v, want a conflict", err)
		}
		r, err := OpenFile(t.Context(), path)
		must(t, err)
		s.check(t, r, map[string]string{"of": "application/x.referrer"})
		must(t, r.Close())
		must(t, Create(t.Context(), path, true, options(), func(*Writer) error { return nil }))
		r, err = OpenFile(t.Context(), path)
		must(t, err)
		if len(r.Contents.Blobs) != 0 {
			t.Error("the file was not replaced")
		}
		must(t, r.Close())
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("beside the file there are %v, %v", left, err)
		}
	}
	for _, path := range []string{"backup", "backup.zip", "backup.zst", "-"} {
		if err := Create(t.Context(), path, false, options(), nil); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%s: got %v, want invalid", path, err)
		}
	}
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.tar")
	must(t, os.WriteFile(text, bytes.Repeat([]byte("text"), 1<<10), 0o600))
	for path, want := range map[string]error{text: entry.ErrMalformed, dir: entry.ErrInvalid, filepath.Join(dir, "no.tar"): entry.ErrNotFound} {
		if _, err := OpenFile(t.Context(), path); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}
