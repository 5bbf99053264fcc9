package archive

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// An increment says what its base has, with all that the base goes on from itself.
func TestIncrements(t *testing.T) {
	ctx := t.Context()
	s := newSample(t, small+1000)
	full := opened(t, archived(t, false, options(), func(w *Writer) { s.write(t, w) }))
	const here, there, second = "registry.example.com/os", "registry.example.com/other", "os.0kq2f4x8b.p0123456789abcdef"
	more := noise(5000)
	d, manifest := manifestOf(t, "application/x.image", nil, s.large, describe("", more))
	base, err := full.Base(ctx, map[string][]digest.Digest{here: {s.image.Digest, d.Digest}})
	must(t, err)
	increase := func(base *Base) *Reader {
		options := options()
		options.Base = base
		return opened(t, archived(t, true, options, func(w *Writer) {
			_, err := w.CopyBlob(ctx, describe("", more), holding(more))
			must(t, err)
			must(t, w.PushManifest(ctx, d, manifest, second))
		}))
	}
	one := increase(base)
	if _, err := one.Blob(ctx, s.layer); !errors.Is(err, entry.ErrNotFound) || !strings.Contains(err.Error(), "increment") {
		t.Errorf("a blob of the base: got %v, want not found", err)
	}
	if diff := cmp.Diff(bounded[string]{imageTag}, one.Contents.Base.Tags); diff != "" || one.Contents.Base.Contents != full.digest {
		t.Errorf("the base is %v\n%s", one.Contents.Base.Contents, diff)
	}
	next, err := one.Base(ctx, map[string][]digest.Digest{there: {d.Digest}})
	must(t, err)
	two := increase(next)
	if diff := cmp.Diff(bounded[string]{imageTag, second}, two.Contents.Base.Tags); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		repository string
		d          digest.Digest
		want       bool
	}{
		{here, s.image.Digest, true},
		{here, s.layer.Digest, true},
		{here, s.child.Digest, false}, // of no image of the catalog
		{here, d.Digest, false},       // the base has no such manifest
		{there, d.Digest, true},
		{there, digest.FromBytes(more), true},
		{there, s.large.Digest, false}, // the other repository has it
	} {
		if got := next.Holds(c.repository, c.d); got != c.want {
			t.Errorf("%s holds %s: %v", c.repository, c.d, got)
		}
	}
	if !next.Has(s.referrer.Digest) || !next.Has(d.Digest) || !next.HasTag(imageTag) || !next.HasTag(second) || next.HasTag(otherTag) {
		t.Error("the base of the second increment is not the union of both")
	}
	must(t, full.CheckOnto(nil))
	must(t, two.CheckOnto([]string{"v1", second, imageTag}))
	if err := two.CheckOnto([]string{imageTag}); !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "1 of the 2 revisions") || !strings.Contains(err.Error(), one.digest.String()) {
		t.Errorf("onto less: got %v, want a conflict that names the base", err)
	}
}

func TestABaseIsOfTheSameCatalog(t *testing.T) {
	base, err := opened(t, archived(t, false, options(), func(*Writer) {})).Base(t.Context(), nil)
	must(t, err)
	other := options()
	other.Catalog, other.Base = "elsewhere", base
	if _, err := NewWriter(nil, other); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a base of another catalog: got %v, want invalid", err)
	}
}
