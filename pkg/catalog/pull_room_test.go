package catalog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// noRoom checks that a pull was refused before anything was fetched.
func noRoom(t *testing.T, what string, err error, asked int) {
	t.Helper()
	if !errors.Is(err, entry.ErrNoRoom) || entry.Code(err) != "malformed" || !strings.Contains(err.Error(), "bytes more are needed there, and ") {
		t.Errorf("%s: got %v, want that there is no room, and how much", what, err)
	}
	if asked > 0 {
		t.Errorf("%s: blobs were asked for %d times, want never", what, asked)
	}
}

// What does not fit is refused before a byte is fetched, where that is known.
func TestPullKnowsTheRoom(t *testing.T) {
	t.Parallel()
	disk := testloop.Memory(t, 1<<20)
	w := newDiskWorld(t)
	holes := append(noise(1, 200_000), make([]byte, 2<<20)...)
	w.publishDisk("stored", diskFile{title: "disk.raw", content: noise(1, 1_500_000)})
	w.publishDisk("unpacked", diskFile{title: "disk.raw.gz", compression: "gzip", content: holes})
	w.publishDisk("several", diskFile{title: "a.raw", content: noise(1, 600_000)}, diskFile{title: "b.raw", content: noise(2, 600_000)})
	for _, name := range []string{"stored", "unpacked", "several"} {
		var err error
		asked, _ := w.storage.during(nil, func() { _, err = w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: disk.Dir}) })
		noRoom(t, name, err, asked)
		if found := filesIn(t, disk.Dir); len(found) > 0 {
			t.Errorf("%s: %d files are left", name, len(found))
		}
	}
	var err error
	asked, _ := w.storage.during(nil, func() {
		_, err = w.catalog.Pull(t.Context(), "stored", catalog.PullOptions{Out: &bytes.Buffer{}, CacheDir: filepath.Join(disk.Dir, "cache")})
	})
	noRoom(t, "a cache", err, asked)
	for _, name := range []string{"stored", "unpacked", "several"} {
		disk.Remount("size=16m")
		if _, err := w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: disk.Dir}); err != nil {
			t.Errorf("%s, with room: %v", name, err)
		}
		for file := range filesIn(t, disk.Dir) {
			if err := os.Remove(filepath.Join(disk.Dir, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What an earlier run left needs no room again.
func TestPullCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	disk := testloop.Memory(t, 4<<20)
	w := newDiskWorld(t)
	w.publishDisk("disk", diskFile{title: "disk.raw", content: noise(1, 3_000_000)})
	if _, err := w.interrupted(2_000_000, catalog.PullOptions{Dest: disk.Dir}); err == nil {
		t.Fatal("it was not interrupted")
	}
	disk.Remount("size=3100k")
	w.storage.during(nil, func() {
		if _, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: disk.Dir}); err != nil {
			t.Errorf("got %v, want that the rest fits", err)
		}
	})
}

// Of what fills the disk all that was fetched stays, and the next run goes on from it.
func TestPullOnAFullDisk(t *testing.T) {
	t.Parallel()
	content := append(noise(1, 300_000), bytes.Repeat([]byte("again"), 600_000)...)
	disks := map[string]func(testing.TB, int64) *testloop.Disk{"memory": testloop.Memory, "ext4": testloop.Ext4}
	for name, newDisk := range disks {
		for _, tt := range []struct {
			name string
			file diskFile
			into func(*catalog.PullOptions, string)
		}{
			{"stored, a file", diskFile{title: "disk.raw", content: noise(1, 3_000_000)}, func(o *catalog.PullOptions, dir string) { o.Dest = filepath.Join(dir, "disk.raw") }},
			{"stored, a directory", diskFile{title: "disk.raw", content: noise(1, 3_000_000)}, func(o *catalog.PullOptions, dir string) { o.Dest = dir }},
			{"unpacked", diskFile{title: "disk.raw", compression: "gzip", content: content, stated: -1}, func(o *catalog.PullOptions, dir string) { o.Dest = dir }},
		} {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				disk := newDisk(t, 5<<20)
				w := newDiskWorld(t)
				w.publishDisk("disk", tt.file)
				var options catalog.PullOptions
				tt.into(&options, disk.Dir)
				ballast := filepath.Join(disk.Dir, "ballast")
				w.fullDisk(t, options, func() { fill(t, ballast, 1<<20) }, disk.Dir)
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
				var result catalog.PullResult
				var err error
				w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
				if err != nil || result.Files[0].Resumed == 0 {
					t.Fatalf("with room: got %+v, %v, want that it went on", result.Files, err)
				}
				if found := filesIn(t, disk.Dir); !bytes.Equal(found["disk.raw"], tt.file.content) {
					t.Errorf("with room: %d bytes that are not the file", len(found["disk.raw"]))
				}
			})
		}
	}
}

// What was fetched for a device that has less than it says is in the cache, for another
// one.
func TestPullToADeviceWithoutRoom(t *testing.T) {
	t.Parallel()
	disk := testloop.Memory(t, 4<<20)
	file := filepath.Join(disk.Dir, "device")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 32<<20); err != nil {
		t.Fatal(err)
	}
	device, detach, err := testloop.Attach(file)
	if err != nil {
		t.Skipf("no loop device can be made here: %v", err)
	}
	defer func() {
		if err := detach(); err != nil {
			t.Error(err)
		}
	}()
	w := newDiskWorld(t)
	content := noise(1, 12<<20)
	w.publishDisk("disk", diskFile{title: "disk.raw", content: content})
	w.publishDisk("large", diskFile{title: "disk.raw", content: noise(2, 33<<20)})
	options := catalog.PullOptions{Dest: device, Force: true, CacheDir: t.TempDir()}
	asked, _ := w.storage.during(nil, func() { _, err = w.catalog.Pull(t.Context(), "large", options) })
	if !errors.Is(err, entry.ErrNoRoom) || asked > 0 {
		t.Errorf("known before: got %v after %d requests, want that there is no room, after none", err, asked)
	}
	var result catalog.PullResult
	w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
	var refused *catalog.DeviceError
	if !errors.As(err, &refused) || len(result.Files) != 1 || result.Files[0].Unfinished != device || filepath.Dir(result.Files[0].Part) != options.CacheDir {
		t.Fatalf("got %+v, %v, want an error of the device, and a part in the cache", result.Files, err)
	}
	disk.Remount("size=40m")
	_, served := w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
	if err != nil || result.Files[0].Resumed == 0 || served > int64(len(content))-result.Files[0].Resumed {
		t.Fatalf("with room: got %+v, %v, and %d bytes were served, want that it went on", result.Files, err, served)
	}
	if found, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(found, content) {
		t.Errorf("the device does not hold the image, %v", err)
	}
}

// A file that is kept as it is stored keeps its name.
func TestPullKeepsTheNameOfWhatIsStored(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	for i, file := range []diskFile{
		{title: "system.simg", content: []byte("stored"), kind: "simg"},
		{title: "system.simg.gz", content: []byte("stored"), kind: "simg", compression: "gzip"},
		{title: "system.img.zst", content: []byte("stored"), kind: "simg", compression: "zstd"},
	} {
		name, dir := fmt.Sprintf("disk%d", i), t.TempDir()
		w.publishDisk(name, file)
		if _, err := w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: dir, KeepCompressed: true}); err != nil {
			t.Errorf("%s: %v", file.title, err)
		}
		if found := filesIn(t, dir); len(found) != 1 || len(found[file.title]) == 0 {
			t.Errorf("%s: got %d files, and none of that name", file.title, len(found))
		}
	}
}

// A layout, and the tar of one, too: as far as what they need is known, and where
// something else fills the disk.
func TestPullContainerOnAFullDisk(t *testing.T) {
	t.Parallel()
	for dest, sizes := range map[string][2]string{"layout": {"2m", "3m"}, "disk.tar": {"4m", "5m"}} { // too little and just enough
		t.Run(dest, func(t *testing.T) {
			t.Parallel()
			disk := testloop.Memory(t, 1<<20)
			disk.Remount("size=" + sizes[0])
			w := newDiskWorld(t)
			w.publishContainer("disk", noise(1, 1_000_000), noise(2, 1_200_000))
			options := catalog.PullOptions{Dest: filepath.Join(disk.Dir, dest)}
			var result catalog.PullResult
			var err error
			asked, _ := w.storage.during(nil, func() { _, err = w.catalog.Pull(t.Context(), "disk", options) })
			noRoom(t, dest, err, asked)
			if found := filesIn(t, disk.Dir); len(found) > 0 {
				t.Errorf("%d files are left", len(found))
			}
			disk.Remount("size=" + sizes[1])
			ballast := filepath.Join(disk.Dir, "ballast")
			w.storage.during(func(_ http.ResponseWriter, _ *http.Request, n int, _ []byte) bool {
				if n == 2 {
					fill(t, ballast, 800_000)
				}
				return false
			}, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
			if !errors.Is(err, entry.ErrNoRoom) || len(result.Files) != 1 || result.Files[0].Part != options.Dest+".part" {
				t.Fatalf("got %+v, %v, want that there is no room, and a part", result.Files, err)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			_, served := w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
			if err != nil || result.Files[0].Resumed < 1_500_000 || served > 700_000 {
				t.Errorf("with room: got %+v, %v, and %d bytes were served, want that it went on", result.Files, err, served)
			}
		})
	}
}

// The tar needs room that its layout did not.
func TestPullTarOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := testloop.Memory(t, 8<<20)
	w := newDiskWorld(t)
	w.publishContainer("disk", noise(1, 2_000_000))
	options := catalog.PullOptions{Dest: filepath.Join(disk.Dir, "disk.tar")}
	ballast := filepath.Join(disk.Dir, "ballast")
	var result catalog.PullResult
	var err error
	w.storage.during(func(_ http.ResponseWriter, _ *http.Request, n int, _ []byte) bool {
		if n == 1 {
			fill(t, ballast, 2_500_000)
		}
		return false
	}, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
	if !errors.Is(err, entry.ErrNoRoom) || len(result.Files) != 1 {
		t.Fatalf("got %+v, %v, want that there is no room, and a part", result.Files, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	asked, _ := w.storage.during(nil, func() { _, err = w.catalog.Pull(t.Context(), "disk", options) })
	if found := filesIn(t, disk.Dir); err != nil || asked > 0 || len(found) != 1 || len(found["disk.tar"]) < 2_000_000 {
		t.Errorf("with room: got %v, %d requests and %d files, want the tar, and no blob fetched again", err, asked, len(found))
	}
}

// publishContainer publishes an image with layers, which the storage serves.
func (w *diskWorld) publishContainer(name string, layers ...[]byte) {
	w.t.Helper()
	config := []byte(`{"architecture":"arm64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`)
	to, err := w.client.Open(parse(w.t, w.host+"/os/"+name))
	if err != nil {
		w.t.Fatal(err)
	}
	push := func(mediaType string, content []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		if err := to.PushBlob(w.t.Context(), d, content); err != nil {
			w.t.Fatal(err)
		}
		return d
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: push(ocispec.MediaTypeImageConfig, config)}
	for _, layer := range layers {
		d := push(ocispec.MediaTypeImageLayer, layer)
		manifest.Layers = append(manifest.Layers, d)
		w.storage.mu.Lock()
		w.storage.blobs[d.Digest.String()] = layer
		w.storage.mu.Unlock()
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		w.t.Fatal(err)
	}
	d := ocispec.Descriptor{MediaType: manifest.MediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if err := to.PushManifest(w.t.Context(), d, text, "1"); err != nil {
		w.t.Fatal(err)
	}
	w.publish(w.catalog, w.host+"/os/"+name+":1", catalog.PublishOptions{Name: name})
}

// fullDisk runs a pull of the entry disk while something else fills the disk of a
// directory.
func (w *diskWorld) fullDisk(t *testing.T, options catalog.PullOptions, fills func(), dir string) {
	t.Helper()
	var result catalog.PullResult
	var err error
	w.storage.during(func(_ http.ResponseWriter, _ *http.Request, n int, _ []byte) bool {
		if n == 1 {
			fills()
		}
		return false
	}, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
	if !errors.Is(err, entry.ErrNoRoom) {
		t.Fatalf("got %v, want that there is no room", err)
	}
	part := filepath.Join(dir, "disk.raw.part")
	if len(result.Files) != 1 || result.Files[0].Part != part {
		t.Errorf("got %+v, want that %s is kept", result.Files, part)
	}
	for name := range filesIn(t, dir) {
		if name != "ballast" && name != "disk.raw.part" && name != "disk.raw.part.digest" {
			t.Errorf("%s is left", name)
		}
	}
}

// fill writes a file that leaves so many bytes on its disk, or fewer.
func fill(t *testing.T, path string, leaves int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	size, block := int64(0), noise(7, 64<<10)
	for {
		n, err := file.Write(block)
		if size += int64(n); err != nil {
			break
		}
	}
	if err := file.Truncate(max(size-leaves, 0)); err != nil {
		t.Error(err)
	}
}
