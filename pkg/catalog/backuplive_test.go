package catalog_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A backup that is made while others publish and remove holds of each name a state that
// it had since the backup began.
func TestBackupWhileOthersPublish(t *testing.T) {
	t.Parallel()
	w := newCopyWorlds(t, true)
	sign := team(t)
	policy := trusting(t, sign)
	const writers = 8
	images := make([]string, writers)
	for n := range images {
		images[n] = w.src.push(fmt.Sprintf("os/image%d", n), "1", "1")
		w.src.publish(w.src.open(catalog.Options{}), images[n], catalog.PublishOptions{Name: fmt.Sprintf("entry%d", n), Version: "0", Sign: sign})
	}
	before := len(show(t, w.src.open(catalog.Options{})).Events)
	file := filepath.Join(t.TempDir(), "catalog.tar")
	var publishing sync.WaitGroup
	for n, image := range images {
		publishing.Go(func() {
			c := w.src.open(catalog.Options{CacheDir: t.TempDir()})
			name := fmt.Sprintf("entry%d", n)
			for version := range 3 {
				if version == 1 && n%2 == 0 {
					if _, err := c.Remove(t.Context(), name, catalog.RemoveOptions{Sign: sign}); err != nil {
						t.Error(err)
					}
				}
				if _, err := c.Publish(t.Context(), image, catalog.PublishOptions{Name: name, Version: fmt.Sprint(version + 1), Sign: sign}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := w.src.open(catalog.Options{Policy: policy}).Backup(t.Context(), file, catalog.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	publishing.Wait()
	events := show(t, w.src.open(catalog.Options{})).Events
	if _, err := w.dst.open(catalog.Options{Policy: policy}).Restore(t.Context(), file, catalog.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	kept := show(t, w.dst.open(catalog.Options{Policy: policy, CacheDir: t.TempDir()}))
	shown := map[string]string{} // name: the revision that decides it
	for _, event := range kept.Events {
		shown[event.Name] = event.Tag
	}
	for n := range writers {
		name := fmt.Sprintf("entry%d", n)
		if !hadSince(events, before, name, shown[name]) {
			t.Errorf("the backup shows %s by %q, which did not decide it since the backup began", name, shown[name])
		}
	}
}

// hadSince reports whether a revision decided a name at a time after so many events.
func hadSince(events []entry.Event, before int, name, tag string) bool {
	last := ""
	for n, event := range events {
		if n >= before && last == tag && last != "" {
			return true
		}
		if event.Name == name {
			last = event.Tag
		}
	}
	return last == tag && last != ""
}
