package archive

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// An increment holds what its base has not, and says what that is.
func TestIncrements(t *testing.T) {
	ctx := t.Context()
	s := newSample(t, small+1000)
	full := opened(t, archived(t, false, options(), func(w *Writer) { s.write(t, w) }))
	more := noise(5000)
	d, manifest := manifestOf(t, "application/x.image", nil, s.large, describe("", more))
	increase := func(base *Base, tag string, further ...string) *Reader {
		options := options()
		options.Base = base
		return opened(t, archived(t, true, options, func(w *Writer) {
			for _, blob := range [][]byte{s.largeContent, s.layerContent} {
				if moved, err := w.CopyBlob(ctx, describe("", blob), nil); moved != 0 || err != nil {
					t.Fatalf("a blob of the base: moved %d, %v", moved, err)
				}
			}
			must(t, w.StatBlob(ctx, s.large))
			must(t, w.PushBlob(ctx, s.empty, []byte("{}")))
			must(t, w.PushManifest(ctx, s.image, s.imageText, imageTag))
			must(t, w.PushReferrer(ctx, s.referrer, s.refText, s.image))
			_, err := w.CopyBlob(ctx, describe("", more), holding(more))
			must(t, err)
			must(t, w.PushManifest(ctx, d, manifest, tag))
			for _, tag := range further {
				must(t, w.PushManifest(ctx, s.image, s.imageText, tag))
			}
		}))
	}
	const second, third = "os.0kq2f4x8b.p0123456789abcdef", "os.0kq2f4x8c.p0123456789abcdef"
	one := increase(full.Base(), second)
	if got, want := one.blobDigests(), []digest.Digest{digest.FromBytes(more), d.Digest}; !slices.Equal(got, want) {
		t.Errorf("the increment has %v, want %v", got, want)
	}
	if _, err := one.Blob(ctx, s.layer); !errors.Is(err, entry.ErrNotFound) || !strings.Contains(err.Error(), "increment") {
		t.Errorf("a blob of the base: got %v, want not found", err)
	}
	if diff := cmp.Diff([]string{imageTag}, one.Contents.Base.Tags); diff != "" || one.Contents.Base.Contents != full.digest {
		t.Errorf("the base is %v\n%s", one.Contents.Base.Contents, diff)
	}
	two := increase(one.Base(), third, "v2", imageTag)
	if got, want := two.blobDigests(), []digest.Digest{d.Digest, s.image.Digest}; !slices.Equal(got, want) {
		t.Errorf("the second increment has %v, want the two manifests with new tags %v", got, want)
	}
	if diff := cmp.Diff([]string{imageTag, second}, two.Contents.Base.Tags); diff != "" {
		t.Error(diff)
	}
	must(t, full.CheckOnto(nil))
	must(t, two.CheckOnto([]string{"v1", second, imageTag}))
	if err := two.CheckOnto([]string{imageTag}); !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "1 of the 2 revisions") {
		t.Errorf("onto less: got %v, want a conflict", err)
	}
	other := options()
	other.Catalog, other.Base = "elsewhere", full.Base()
	if _, err := NewWriter(nil, other); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a base of another catalog: got %v, want invalid", err)
	}
}

func (r *Reader) blobDigests() (all []digest.Digest) {
	for _, file := range r.Contents.Blobs {
		all = append(all, file.Digest)
	}
	return all
}
