package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What a server sends was never checked as documents are.
func TestPullRefusesDigestsThatAreNone(t *testing.T) {
	w := newDiskWorld(t)
	w.publishDisk("disk", diskFile{title: "disk.raw", content: noise(1, 1000)})
	item, err := w.catalog.Get(t.Context(), "disk", catalog.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []digest.Digest{"", "nonsense", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		for what, put := range map[string]func(*entry.Item){
			"item":     func(i *entry.Item) { i.Digest = bad },
			"file":     func(i *entry.Item) { i.ArtifactRefs[0].Digest = bad },
			"platform": func(i *entry.Item) { i.PlatformVariants = []entry.Platform{{Digest: bad}} },
		} {
			hostile := item
			hostile.ArtifactRefs = slices.Clone(item.ArtifactRefs)
			put(&hostile)
			dir := t.TempDir()
			_, err := catalog.PullItem(t.Context(), client, &hostile, catalog.PullOptions{Dest: dir, CacheDir: filepath.Join(dir, "cache")})
			if !errors.Is(err, entry.ErrMalformed) || len(filesIn(t, dir)) > 0 {
				t.Errorf("%s with the digest %q: %v and %d files, want it refused", what, bad, err, len(filesIn(t, dir)))
			}
		}
	}
}

// A link that somebody put where a file was to be leads to no device.
func TestPullFollowsNoLinkToADevice(t *testing.T) {
	devices, _ := filepath.Glob("/dev/loop[0-9]*")
	devices = slices.DeleteFunc(devices, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0
	})
	if len(devices) == 0 {
		t.Skip("this machine has no block device to link to")
	}
	w := newDiskWorld(t)
	w.publishDisk("disk", diskFile{title: "disk.raw", content: noise(1, 1000)})
	link := filepath.Join(t.TempDir(), "disk.img")
	if err := os.Symlink(devices[0], link); err != nil {
		t.Fatal(err)
	}
	_, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: link, Force: true})
	if !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), "name the device itself") {
		t.Errorf("got %v, want that the link is not followed", err)
	}
}
