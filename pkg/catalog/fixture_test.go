package catalog_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// unpack puts a catalog of testdata into a directory of the test: a layout
// below catalog, the key that signed its entries, and what the code that made it
// listed.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for members := tar.NewReader(plain); ; {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+header.Name))
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var text []byte
			if text, err = io.ReadAll(members); err == nil {
				err = os.WriteFile(path, text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// pinDownloads makes of items that were shown before downloads were pinned what they
// are now.
func pinDownloads(items []entry.Item) {
	for i := range items {
		if item := &items[i]; item.DownloadURL == item.RegistryURL {
			item.DownloadURL = entry.Pinned(item.RegistryURL, item.Digest)
		}
	}
}

// A catalog that was made before documents named theirs, before a head was
// remembered and signed before its tag, reads as it did then.
func TestOldCatalogsReadAsBefore(t *testing.T) {
	dir := unpack(t, "testdata/catalog-2026-11.tar.gz")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		List    []entry.Item
		History []entry.Event
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	pinDownloads(want.List)
	var warned []error
	options := catalog.Options{
		CacheDir: t.TempDir(), StateDir: t.TempDir(),
		Warn: func(w catalog.Warning) { warned = append(warned, w.Err) },
	}
	open := func() *catalog.Catalog {
		c, err := catalog.Open("oci:"+filepath.Join(dir, "catalog"), options)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, reading := range []string{"cold", "warm"} {
		page, err := open().List(t.Context(), catalog.ListOptions{})
		if diff := cmp.Diff(want.List, page.Items); err != nil || diff != "" {
			t.Errorf("the %s list: %v\n%s", reading, err, diff)
		}
		history, err := open().History(t.Context(), "")
		if diff := cmp.Diff(want.History, history); err != nil || diff != "" {
			t.Errorf("the %s history: %v\n%s", reading, err, diff)
		}
	}
	if len(warned) > 0 {
		t.Errorf("warnings %v", warned)
	}
	key, err := os.ReadFile(filepath.Join(dir, "team.pub"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := trust.ParsePublicKeys("team.pub", key)
	if err != nil {
		t.Fatal(err)
	}
	if options.Policy, err = trust.NewPolicy(nil, nil, &trust.Rule{Keys: keys}); err != nil {
		t.Fatal(err)
	}
	page, err := open().List(t.Context(), catalog.ListOptions{})
	if err != nil || len(page.Refused) != 1 || len(page.Items) != len(want.List)-1 {
		t.Errorf("under the policy: %d entries, %d refused, %v; want all but the one that nobody signed", len(page.Items), len(page.Refused), err)
	}
	for _, item := range page.Items {
		if item.Verdict != entry.VerdictVerified {
			t.Errorf("%s is %s", item.Name, item.Verdict)
		}
	}
}
