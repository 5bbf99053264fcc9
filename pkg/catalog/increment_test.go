package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	archivefile "github.com/oci-catalog/caib/pkg/internal/archive"
)

// increments are backups of a source, one after the other.
type increments struct {
	*copyWorlds
	c    *catalog.Catalog // at the source
	sign *catalog.Signing
	dir  string
}

func (i *increments) publish(name, repository, version string, sign *catalog.Signing) catalog.PublishResult {
	i.t.Helper()
	return i.src.publish(i.c, i.src.push(repository, version, version), catalog.PublishOptions{Name: name, Version: version, Sign: sign})
}

func (i *increments) remove(name string) {
	i.t.Helper()
	if _, err := i.c.Remove(i.t.Context(), name, catalog.RemoveOptions{Sign: i.sign}); err != nil {
		i.t.Fatal(err)
	}
}

// backup keeps in a file what came since the one before it, and checks how many
// revisions that is.
func (i *increments) backup(name, since string, copied, present int) {
	i.t.Helper()
	if since != "" {
		since = filepath.Join(i.dir, since)
	}
	result, err := i.c.Backup(i.t.Context(), filepath.Join(i.dir, name), catalog.BackupOptions{Since: since})
	if err != nil {
		i.t.Fatalf("backup %s: %v, %+v", name, err, result)
	}
	if want := (catalog.CopyCount{Copied: copied, Present: present}); result.Revisions != want {
		i.t.Errorf("backup %s: %+v revisions, want %+v", name, result.Revisions, want)
	}
}

func (i *increments) restore(to *world, name string) error {
	_, err := to.open(catalog.Options{}).Restore(i.t.Context(), filepath.Join(i.dir, name), catalog.CopyOptions{})
	return err
}

// fill makes a base, two increments, one of nothing, and a whole backup.
func (i *increments) fill() {
	i.t.Helper()
	for n, name := range []string{"same", "edited", "removed"} {
		i.publish(name, fmt.Sprintf("os/image%d", n), fmt.Sprint(n), i.sign)
	}
	i.publish("again", "os/again", "7", i.sign)
	i.publish("again", "os/again", "8", i.sign)
	i.publish("late", "os/late", "9", nil)
	i.publish("back", "os/back", "30", i.sign)
	i.remove("back")
	i.backup("base.tar", "", 8, 0)

	for n := range 3 {
		i.publish(fmt.Sprintf("new%d", n), fmt.Sprintf("os/new%d", n), fmt.Sprint(10+n), i.sign)
	}
	old := i.publish("again", "os/again", "7", i.sign)               // back to an image that the base has
	elsewhere := i.publish("elsewhere", "os/elsewhere", "0", i.sign) // what os/image0 has, in another repository
	i.publish("back", "os/back", "31", i.sign)
	i.remove("removed")
	if _, err := i.c.Edit(i.t.Context(), "edited", entry.Change{AddTags: []string{"qa"}}, catalog.EditOptions{Sign: i.sign}); err != nil {
		i.t.Fatal(err)
	}
	if _, err := i.c.Sign(i.t.Context(), "late", *i.sign); err != nil {
		i.t.Fatal(err)
	}
	i.backup("one.tar.zst", "base.tar", 9, 7)
	checkHeld(i.t, filepath.Join(i.dir, "one.tar.zst"), old, true)
	checkHeld(i.t, filepath.Join(i.dir, "one.tar.zst"), elsewhere, false)
	i.publish("new0", "os/new0", "20", i.sign)
	i.backup("two.tar", "one.tar.zst", 1, 16)
	i.backup("nothing.tar", "two.tar", 0, 17)
	i.backup("all.tar", "", 17, 0)
}

// An increment has what came after its base, whatever that was, and gives back with it
// what a whole backup gives: item by item, verified, without the source.
func TestIncrementsAreRestored(t *testing.T) {
	t.Parallel()
	sign := team(t)
	policy := trusting(t, sign)
	w := newCopyWorlds(t, true)
	i := &increments{w, w.src.open(catalog.Options{}), sign, t.TempDir()}
	i.fill()
	want := show(t, w.src.open(catalog.Options{Policy: policy}))
	w.off.Store(true)

	whole, third := w.dst, newWorld(t, true, nil)
	if err := i.restore(whole, "all.tar"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		want error
	}{
		{"one.tar.zst", entry.ErrConflict},
		{"base.tar", nil},
		{"two.tar", entry.ErrConflict},
		{"one.tar.zst", nil},
		{"two.tar", nil},
		{"nothing.tar", nil},
		{"one.tar.zst", nil}, // onto what is newer
		{"base.tar", nil},
	} {
		if err := i.restore(third, step.name); !errors.Is(err, step.want) || (err != nil) != (step.want != nil) {
			t.Fatalf("restore %s: got %v, want %v", step.name, err, step.want)
		}
	}
	for what, to := range map[string]*world{"the whole backup": whole, "the increments": third} {
		reader := to.open(catalog.Options{Policy: policy})
		if diff := cmp.Diff(want, show(t, reader)); diff != "" {
			t.Errorf("%s: a reader is shown something else: %s", what, diff)
		}
		for _, item := range want.Items {
			if _, err := reader.Pull(t.Context(), item.Name, catalog.PullOptions{Dest: t.TempDir()}); err != nil {
				t.Errorf("%s: pull of %s: %v", what, item.Name, err)
			}
		}
	}
}

// checkHeld checks that an increment has the manifest of an image, and the blobs only
// if its base does not hold them for the same repository.
func checkHeld(t *testing.T, path string, published catalog.PublishResult, held bool) {
	t.Helper()
	r, err := archivefile.OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, text, err := r.Manifest(t.Context(), published.Item.Digest.String())
	if err != nil {
		t.Fatalf("the increment lacks the manifest of an image: %v", err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	if err := r.StatBlob(t.Context(), manifest.Config); manifest.Config.Size < 3 || errors.Is(err, entry.ErrNotFound) != held {
		t.Errorf("%s: a blob of the image, of which it is %v that the base holds it: got %v", published.Item.Name, held, err)
	}
}

// What no backup of the catalog is cannot be gone on from, and no file is made.
func TestBackupSinceRefuses(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, true, nil), newWorld(t, true, nil)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, of := range map[string]*world{"base.tar": w, "other.tar": other} {
		c := of.open(catalog.Options{})
		of.publish(c, of.push("os/image", "1", "1"), catalog.PublishOptions{Name: "one"})
		if _, err := c.Backup(t.Context(), at(name), catalog.BackupOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(at("base.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cut.tar": content[:len(content)/2], "text.tar": []byte("text")} {
		if err := os.WriteFile(at(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := w.open(catalog.Options{})
	for _, refused := range []struct {
		since, path string
		want        error
		says        string
	}{
		{"cut.tar", "new.tar", entry.ErrMalformed, "cut or altered"},
		{"text.tar", "new.tar", entry.ErrMalformed, "cut or altered"},
		{"none.tar", "new.tar", entry.ErrNotFound, "none.tar"},
		{"other.tar", "new.tar", entry.ErrInvalid, "is a backup of "},
		{"base.tar", "base.tar", entry.ErrInvalid, "cannot be replaced"},
	} {
		_, err := c.Backup(t.Context(), at(refused.path), catalog.BackupOptions{Since: at(refused.since), Force: true})
		if !errors.Is(err, refused.want) || !strings.Contains(err.Error(), refused.says) {
			t.Errorf("since %s: got %v, want %v, and that it %s", refused.since, err, refused.want, refused.says)
		}
	}
	if _, err := os.Lstat(at("new.tar")); err == nil {
		t.Error("a backup that was refused leaves a file")
	}
}
