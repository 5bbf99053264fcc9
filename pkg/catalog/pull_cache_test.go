package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// What takes each byte once goes on too, if there is a directory for stored bytes.
func TestPullCache(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	content := noise(1, 1<<20)
	w.publishDisk("disk", diskFile{title: "disk.raw.gz", compression: "gzip", content: content})
	var out bytes.Buffer
	cache := filepath.Join(t.TempDir(), "cache")
	options := catalog.PullOptions{Out: &out, CacheDir: cache}
	interrupted := func() string {
		t.Helper()
		result, err := w.interrupted(300_000, options)
		if !errors.Is(err, context.Canceled) || len(result.Files) != 1 || filepath.Dir(result.Files[0].Part) != cache {
			t.Fatalf("got %+v, %v, want that it was interrupted, and a part in the cache", result.Files, err)
		}
		out.Reset()
		return result.Files[0].Part
	}
	interrupted()
	var result catalog.PullResult
	var err error
	_, served := w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
	if err != nil || !bytes.Equal(out.Bytes(), content) || result.Files[0].Resumed != 300_000 || served != result.Files[0].SizeBytes-300_000 {
		t.Errorf("got %d bytes of which %d were served, %+v, %v, want that it went on", out.Len(), served, result.Files, err)
	}
	if found := filesIn(t, cache); len(found) > 0 {
		t.Errorf("%d files are left in the cache", len(found))
	}
	spoil := func(from int) {
		t.Helper()
		part := interrupted()
		text := read(t, part)
		copy(text[from:], noise(9, len(text)))
		if err := os.WriteFile(part, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pull := func() (err error) {
		out.Reset()
		w.storage.during(nil, func() { _, err = w.catalog.Pull(t.Context(), "disk", options) })
		return err
	}
	spoil(0)
	if err := pull(); err != nil || !bytes.Equal(out.Bytes(), content) {
		t.Errorf("a part that is wrong from its beginning: got %v and %d bytes, want that it begins anew", err, out.Len())
	}
	spoil(200_000)
	if err := pull(); !errors.Is(err, entry.ErrMalformed) || len(filesIn(t, cache)) > 0 {
		t.Errorf("a part that is wrong: got %v, want a malformed one, and that it is forgotten", err)
	}
	if err := pull(); err != nil || !bytes.Equal(out.Bytes(), content) {
		t.Errorf("after a part that was wrong: got %v, want the content", err)
	}
	if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: t.TempDir(), CacheDir: cache}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a cache for files: got %v, want an invalid one", err)
	}
}
