package catalog_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A file that is carried to where the source cannot be reached gives back all of it,
// item by item, verified.
func TestBackupIsRestored(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"tar", "tar.zst", "-"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			sign := team(t)
			policy := trusting(t, sign)
			w := newCopyWorlds(t, form != "tar")
			c := w.src.open(catalog.Options{Policy: policy})
			for i := range 40 { // more than a snapshot covers
				image := w.src.push(fmt.Sprintf("os/image%d", i%3), fmt.Sprint(i), fmt.Sprint(i))
				w.src.publish(c, image, catalog.PublishOptions{Name: fmt.Sprintf("entry%02d", i%20), Version: fmt.Sprint(i), Sign: sign})
			}
			if _, err := c.Remove(t.Context(), "entry07", catalog.RemoveOptions{Sign: sign}); err != nil {
				t.Fatal(err)
			}
			want := show(t, w.src.open(catalog.Options{Policy: policy}))
			path := filepath.Join(t.TempDir(), "backup."+form)
			options, out := catalog.BackupOptions{}, bytes.Buffer{}
			if form == "-" {
				path, options.Out = filepath.Join(t.TempDir(), "backup.tar"), &out
			}
			result, err := w.src.open(catalog.Options{Policy: policy}).Backup(t.Context(), path, options)
			if err != nil || result.Revisions.Copied != 41 || result.Names != 20 || result.Bytes == 0 {
				t.Fatalf("backup: %v, %+v", err, result)
			}
			if form == "-" {
				if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.off.Store(true)
			for i := range 2 {
				result, err := w.dst.open(catalog.Options{Policy: policy}).Restore(t.Context(), path, catalog.CopyOptions{})
				if err != nil || result.Revisions.Copied != 41*(1-i) || result.From != path {
					t.Fatalf("restore %d: %v, %+v", i, err, result)
				}
			}
			reader := w.dst.open(catalog.Options{Policy: policy})
			if diff := cmp.Diff(want, show(t, reader)); diff != "" {
				t.Errorf("what was restored shows something else: %s", diff)
			}
			if _, err := reader.Pull(t.Context(), want.Items[0].Name, catalog.PullOptions{Dest: t.TempDir()}); err != nil {
				t.Errorf("pull of what was restored: %v", err)
			}
		})
	}
}

// Onto a catalog that went on meanwhile, a restore is a union: what is newer stays, and
// what was removed stays removed. A file that is not right changes nothing.
func TestRestoreIsAUnion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	for _, name := range []string{"newer", "removed", "same"} {
		w.publish(c, w.push("os/"+name, "1", "1"), catalog.PublishOptions{Name: name, Version: "1"})
	}
	path := filepath.Join(t.TempDir(), "backup.tar")
	if _, err := c.Backup(t.Context(), path, catalog.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Backup(t.Context(), path, catalog.BackupOptions{}); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("backup to a file that is there: got %v, want a conflict", err)
	}
	w.publish(c, w.push("os/newer", "2", "2"), catalog.PublishOptions{Name: "newer", Version: "2"})
	if _, err := c.Remove(t.Context(), "removed", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	want := show(t, w.open(catalog.Options{}))
	if _, err := w.open(catalog.Options{}).Restore(t.Context(), path, catalog.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, show(t, w.open(catalog.Options{}))); diff != "" {
		t.Errorf("the restore changed: %s", diff)
	}

	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := newWorld(t, true, nil)
	content[len(content)/2] ^= 1
	for what, altered := range map[string][]byte{"altered": content, "cut": content[:len(content)/2]} {
		if err := os.WriteFile(path, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := other.open(catalog.Options{}).Restore(t.Context(), path, catalog.CopyOptions{}); !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("restore of a file that was %s: got %v, want malformed", what, err)
		}
	}
	if all := show(t, other.open(catalog.Options{})); len(all.Events) > 0 {
		t.Errorf("a file that is not right was restored: %+v", all)
	}
}

// What a file is called is chosen by whoever hands it over: the rules of the policy are
// those for the catalog that is restored.
func TestRestoreGoesByTheRulesOfTheCatalog(t *testing.T) {
	t.Parallel()
	w, owner := newCopyWorlds(t, true), team(t)
	w.src.publish(w.src.open(catalog.Options{}), w.src.push("os/disk", "1", "1"), catalog.PublishOptions{Name: "disk"})
	path := filepath.Join(t.TempDir(), "backup.tar")
	if _, err := w.src.open(catalog.Options{}).Backup(t.Context(), path, catalog.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	to := w.dst.open(catalog.Options{})
	keys := []*trust.PublicKey{owner.Signer.PublicKey()}
	policy, err := trust.NewPolicy(nil, &trust.Rule{Keys: keys, Warn: true}, &trust.Rule{Catalog: to.Reference(), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	result, err := w.dst.open(catalog.Options{Policy: policy}).Restore(t.Context(), path, catalog.CopyOptions{})
	if !errors.Is(err, entry.ErrUntrusted) || len(result.KeptBack) != 1 || result.Revisions.Copied > 0 {
		t.Errorf("restore of what nobody signed: %v, %+v; want it kept back", err, result)
	}
}

// Of an image that is gone, the entry is kept, and the file is whole; without images,
// none is looked for.
func TestBackupOfWhatIsGone(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	c := w.src.open(catalog.Options{})
	w.src.publish(c, w.src.push("os/here", "1", "1"), catalog.PublishOptions{Name: "here"})
	gone := w.src.publish(c, w.src.push("os/gone", "2", "2"), catalog.PublishOptions{Name: "gone"})
	w.src.forget("os/gone", gone.Item.Digest)
	dir := t.TempDir()
	result, err := c.Backup(t.Context(), filepath.Join(dir, "all.tar"), catalog.BackupOptions{})
	if !errors.Is(err, entry.ErrNotFound) || len(result.Failed) != 1 || result.Failed[0].Name != "gone" {
		t.Errorf("backup: got %v, %+v, want that an image is gone", err, result)
	}
	if result, err := c.Backup(t.Context(), filepath.Join(dir, "catalog.tar"), catalog.BackupOptions{NoImages: true}); err != nil || result.Bytes > 0 {
		t.Errorf("backup without images: got %v, %+v", err, result)
	}
	for name, gone := range map[string]int{"all.tar": 1, "catalog.tar": 0} {
		to := newWorld(t, true, nil).open(catalog.Options{})
		result, err := to.Restore(t.Context(), filepath.Join(dir, name), catalog.CopyOptions{})
		if result.Revisions.Copied != 2 || len(result.Failed) != gone || (err != nil) != (gone > 0) {
			t.Errorf("restore of %s: %v, %+v", name, err, result)
		}
	}
	empty := newWorld(t, true, nil).open(catalog.Options{})
	if _, err := empty.Backup(t.Context(), filepath.Join(dir, "empty.tar"), catalog.BackupOptions{}); !errors.Is(err, entry.ErrNotFound) {
		t.Errorf("backup of a catalog that is not there: got %v, want not found", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "empty.tar")); err == nil {
		t.Error("a backup of nothing leaves a file")
	}
}
