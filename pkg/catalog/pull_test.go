package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testcompress"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

func TestPullFiles(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	contents := map[string][]byte{"boot.img": noise(1, 300_000), "root.raw": append(make([]byte, 3<<20), noise(2, 100_000)...), "data.raw": noise(3, 70_000), "vbmeta": []byte("v")}
	w.publishDisk("board",
		diskFile{title: "boot.img.gz", partition: "boot", compression: "gzip", content: contents["boot.img"]},
		diskFile{title: "root.raw.zst", partition: "root", compression: "zstd", content: contents["root.raw"]},
		diskFile{title: "data.raw.lz4", partition: "data", compression: "lz4", content: contents["data.raw"], stated: -1},
		diskFile{title: "vbmeta", partition: "vbmeta", content: contents["vbmeta"]})
	dir := t.TempDir()
	result, err := w.catalog.Pull(t.Context(), "board", catalog.PullOptions{Dest: dir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents, filesIn(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%.500s", diff)
	}
	for i, f := range result.Files {
		name := filepath.Base(f.File)
		if f.Bytes != int64(len(contents[name])) || f.Place != w.host+"/os/board" || f.Part != "" || f.Resumed != 0 || f.Digest == "" {
			t.Errorf("file %d: got %+v", i, f)
		}
	}
	var out bytes.Buffer
	if _, err := w.catalog.Pull(t.Context(), "board", catalog.PullOptions{Out: &out, Partition: "root"}); err != nil || !bytes.Equal(out.Bytes(), contents["root.raw"]) {
		t.Errorf("the partition root: got %d bytes, %v", out.Len(), err)
	}
	if _, err := w.catalog.Pull(t.Context(), "board", catalog.PullOptions{Out: &out}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("four files into one: got %v, want an invalid one", err)
	}
	if _, err := w.catalog.Pull(t.Context(), "board", catalog.PullOptions{Dest: filepath.Join(dir, "one"), Artifact: "no"}); !errors.Is(err, entry.ErrNotFound) {
		t.Errorf("a file that is not there: got %v, want not found", err)
	}
	stored := t.TempDir()
	if _, err := w.catalog.Pull(t.Context(), "board", catalog.PullOptions{Dest: stored, KeepCompressed: true, Partition: "boot"}); err != nil {
		t.Fatal(err)
	}
	if got := filesIn(t, stored)["boot.img.gz"]; !bytes.Equal(got, testcompress.Bytes(t, "gzip", contents["boot.img"])) {
		t.Errorf("as it is stored: got %d bytes that are not those", len(got))
	}
}

// Whatever is wrong with the bytes, no file gets its name.
func TestPullRefusesWrongBytes(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	content := append(append(noise(1, 40_000), make([]byte, 100_000)...), noise(2, 40_000)...)
	pick := rand.New(rand.NewPCG(1, 2))
	for _, compression := range []string{"", "gzip", "zstd", "lz4"} {
		name := "disk" + compression
		w.publishDisk(name, diskFile{title: "disk.raw", compression: compression, content: content})
		stored := testcompress.Bytes(t, compression, content)
		bodies := map[string][]byte{
			"nothing": {}, "shorter": stored[:len(stored)-1], "half": stored[:len(stored)/2], "longer": append(bytes.Clone(stored), 0),
			"another": noise(9, len(stored)), "zeros": make([]byte, len(stored)),
		}
		for range 15 {
			at, bit := pick.IntN(len(stored)), pick.IntN(8)
			flipped := bytes.Clone(stored)
			flipped[at] ^= 1 << bit
			bodies[fmt.Sprintf("bit %d of byte %d flipped", bit, at)] = flipped
		}
		for what, body := range bodies {
			dir := t.TempDir()
			var err error
			w.storage.during(answering(body), func() {
				_, err = w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: dir})
			})
			if !errors.Is(err, entry.ErrMalformed) || entry.Code(err) != "malformed" {
				t.Errorf("%q, %s: got error %v, want a malformed one", compression, what, err)
			}
			if found := filesIn(t, dir); len(found) > 0 {
				t.Errorf("%q, %s: %d files are left", compression, what, len(found))
			}
		}
	}
}

func TestPullRefusesWrongSizes(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	content := make([]byte, 1<<20)
	for i, tt := range []struct {
		compression string
		stated      int64
		most        int64
		ok          bool
	}{
		{"gzip", 1 << 20, 0, true},
		{"gzip", 1<<20 + 1, 0, false},
		{"gzip", 1<<20 - 1, 0, false},
		{"zstd", 1, 0, false},
		{"lz4", 1 << 40, 0, false},
		{"", 1<<20 + 1, 0, false},
		{"gzip", -1, 1 << 20, true},
		{"gzip", -1, 1<<20 - 1, false},
		{"gzip", 1 << 20, 1<<20 - 1, false},
		{"", -1, 1<<20 - 1, false},
	} {
		name := fmt.Sprintf("disk%d", i)
		w.publishDisk(name, diskFile{title: "disk.raw", compression: tt.compression, content: content, stated: tt.stated})
		dir := t.TempDir()
		_, err := w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: dir, MaxSize: tt.most})
		found := filesIn(t, dir)
		switch {
		case tt.ok && (err != nil || !bytes.Equal(found["disk.raw"], content)):
			t.Errorf("%+v: got %v, want the file", tt, err)
		case !tt.ok && (!errors.Is(err, entry.ErrMalformed) || len(found) > 0):
			t.Errorf("%+v: got error %v and %d files, want a malformed one and none", tt, err, len(found))
		}
	}
}

// What breaks goes on, and nearly nothing is fetched twice.
func TestPullGoesOnWithinARun(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	content := noise(1, 3<<20)
	for _, compression := range []string{"", "gzip"} {
		name := "disk" + compression
		w.publishDisk(name, diskFile{title: "disk.raw", compression: compression, content: content})
		dir := t.TempDir()
		pick := rand.New(rand.NewPCG(3, 4))
		var err error
		asked, served := w.storage.during(cutting(func() int { return 200_000 + pick.IntN(800_000) }), func() {
			_, err = w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: dir})
		})
		if err != nil || !bytes.Equal(filesIn(t, dir)["disk.raw"], content) {
			t.Fatalf("%q: got %v, want the file", compression, err)
		}
		if asked < 3 || served > int64(len(content))+100_000 {
			t.Errorf("%q: %d bytes were served in %d answers, want %d in several", compression, served, asked, len(content))
		}
	}
}

// interrupted runs a pull that is interrupted after so many bytes of an answer.
func (w *diskWorld) interrupted(after int, options catalog.PullOptions) (catalog.PullResult, error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var result catalog.PullResult
	var err error
	w.storage.during(func(rw http.ResponseWriter, r *http.Request, _ int, content []byte) bool {
		from := 0
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from) // else it is 0
		rw.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		if from > 0 {
			rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
			rw.WriteHeader(http.StatusPartialContent)
		}
		_, _ = rw.Write(content[from:min(from+after, len(content))])
		rw.(*counting).ResponseWriter.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}, func() {
		options.Progress = func(p catalog.PullProgress) {
			if p.Bytes >= p.Begun+int64(after) {
				cancel()
			}
		}
		result, err = w.catalog.Pull(ctx, "disk", options)
	})
	return result, err
}

func TestPullGoesOnAcrossRuns(t *testing.T) {
	t.Parallel()
	content := noise(1, 3<<20)
	for _, compression := range []string{"", "gzip"} {
		w := newDiskWorld(t)
		w.publishDisk("disk", diskFile{title: "disk.raw", compression: compression, content: content})
		dir := t.TempDir()
		options := catalog.PullOptions{Dest: dir}
		for run := range int64(3) {
			result, err := w.interrupted(700_000, options)
			part := filepath.Join(dir, "disk.raw.part")
			if !errors.Is(err, context.Canceled) || len(result.Files) != 1 || result.Files[0].Part != part || result.Files[0].Resumed != 700_000*run {
				t.Fatalf("%q, run %d: got %+v, %v, want that it was interrupted", compression, run, result.Files, err)
			}
			if found := filesIn(t, dir); len(found) != 2 || len(found["disk.raw.part"]) != int(700_000*(run+1)) {
				t.Fatalf("%q, run %d: %d files, the part of %d bytes", compression, run, len(found), len(found["disk.raw.part"]))
			}
		}
		var result catalog.PullResult
		var err error
		_, served := w.storage.during(nil, func() { result, err = w.catalog.Pull(t.Context(), "disk", options) })
		if err != nil || result.Files[0].Resumed != 2_100_000 {
			t.Fatalf("%q: got %+v, %v, want that it went on from 2100000", compression, result.Files, err)
		}
		if diff := cmp.Diff(map[string][]byte{"disk.raw": content}, filesIn(t, dir)); diff != "" {
			t.Errorf("%q: files (-want +got):\n%.500s", compression, diff)
		}
		if want := result.Files[0].SizeBytes - 2_100_000; served != want {
			t.Errorf("%q: %d bytes were served, want the %d that were missing", compression, served, want)
		}
	}
}

// What is on the disk may be damaged, or be of something else.
func TestPullDoesNotTrustAPart(t *testing.T) {
	t.Parallel()
	content := noise(1, 1<<20)
	for what, damage := range map[string]func(part []byte) []byte{
		"altered": func(part []byte) []byte { part[1000] ^= 1; return part },
		"emptied": func(part []byte) []byte { return make([]byte, len(part)) },
		"shorter": func(part []byte) []byte { return part[:100] },
		"whole":   func([]byte) []byte { return content },
		"longer":  func([]byte) []byte { return append(bytes.Clone(content), 1) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newDiskWorld(t)
			compression := map[bool]string{true: "zstd"}[what == "altered" || what == "shorter"]
			w.publishDisk("disk", diskFile{title: "disk.raw", compression: compression, content: content})
			dir := t.TempDir()
			if _, err := w.interrupted(500_000, catalog.PullOptions{Dest: dir}); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			part := filepath.Join(dir, "disk.raw.part")
			text, err := os.ReadFile(part)
			if err == nil {
				err = os.WriteFile(part, damage(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.storage.during(nil, func() { _, err = w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir}) })
			if diff := cmp.Diff(map[string][]byte{"disk.raw": content}, filesIn(t, dir)); err != nil || diff != "" {
				t.Errorf("%v, files (-want +got):\n%.300s", err, diff)
			}
		})
	}
}

func TestPullRefusesTitles(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	for i, title := range []string{"../evil", "/tmp/evil", "..", "-rf", ".bashrc", "a/b", `a\b`, "CON", "evil.part"} {
		name := fmt.Sprintf("disk%d", i)
		w.publishDisk(name, diskFile{title: title, content: []byte("evil")})
		parent := t.TempDir()
		dir := filepath.Join(parent, "dest")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: dir})
		if !errors.Is(err, entry.ErrMalformed) || len(filesIn(t, dir)) > 0 {
			t.Errorf("%q: got %v, want a malformed one, and nothing written", title, err)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("%q: %d files beside the directory, %v", title, len(entries)-1, err)
		}
		path := filepath.Join(dir, "good.img")
		if _, err := w.catalog.Pull(t.Context(), name, catalog.PullOptions{Dest: path}); err != nil {
			t.Errorf("%q, under a name of the user's: %v", title, err)
		}
	}
	w.publishDisk("twice", diskFile{title: "disk.raw", content: []byte("1")}, diskFile{title: "DISK.raw", content: []byte("2")})
	dir := t.TempDir()
	if _, err := w.catalog.Pull(t.Context(), "twice", catalog.PullOptions{Dest: dir}); !errors.Is(err, entry.ErrMalformed) || len(filesIn(t, dir)) > 0 {
		t.Errorf("two of one title: got %v, want a malformed one, and nothing written", err)
	}
}

// What the policy refuses is not even asked for.
func TestPullAsksThePolicyFirst(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	w.publishDisk("disk", diskFile{title: "disk.raw", content: noise(1, 1000)})
	c := w.open(catalog.Options{Policy: trusting(t, team(t))})
	dir := t.TempDir()
	var err error
	asked, _ := w.storage.during(nil, func() { _, err = c.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir}) })
	if !errors.Is(err, entry.ErrUntrusted) || asked > 0 || len(filesIn(t, dir)) > 0 {
		t.Errorf("got %v after %d requests for blobs, want that it is not trusted, after none", err, asked)
	}
	if _, err := c.OpenArtifact(t.Context(), "disk", catalog.PullOptions{}); !errors.Is(err, entry.ErrUntrusted) {
		t.Errorf("a reader: got %v, want that it is not trusted", err)
	}
}

func TestPullsMeet(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	content := noise(1, 1<<20)
	w.publishDisk("disk", diskFile{title: "disk.raw", content: content})
	dir := t.TempDir()
	begun, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	w.storage.during(func(_ http.ResponseWriter, _ *http.Request, n int, _ []byte) bool {
		if n == 1 {
			close(begun)
			<-goOn
		}
		return false
	}, func() {
		go func() {
			_, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir, Force: true})
			first <- err
		}()
		testwait.Receive(t, "the first pull", begun)
		_, err := w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dir, Force: true})
		if !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "somebody else is fetching") {
			t.Errorf("the second pull: got %v, want that somebody else is fetching it", err)
		}
		close(goOn)
		if err := testwait.Receive(t, "the first pull to end", first); err != nil {
			t.Errorf("the first pull: %v", err)
		}
	})
	if diff := cmp.Diff(map[string][]byte{"disk.raw": content}, filesIn(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%.500s", diff)
	}
}

func TestOpenArtifact(t *testing.T) {
	t.Parallel()
	w := newDiskWorld(t)
	content := noise(1, 1<<20)
	w.publishDisk("disk", diskFile{title: "disk.raw.gz", compression: "gzip", content: content})
	read := func() (text []byte, err error) {
		r, err := w.catalog.OpenArtifact(t.Context(), "disk", catalog.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	if got, err := read(); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v, want the content", len(got), err)
	}
	stored := testcompress.Bytes(t, "gzip", content)
	stored[4] ^= 1 // the time in the header: no decompressor looks at it
	w.storage.during(answering(stored), func() {
		if got, err := read(); !errors.Is(err, entry.ErrMalformed) || !bytes.Equal(got, content) {
			t.Errorf("altered: got %d bytes, %v, want the content and a malformed error", len(got), err)
		}
	})
}
