package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oci-catalog/caib/internal/testloop"
)

// cmdDisk is `disk REF FILE...`: a raw disk image of files, under their names. One
// whose name ends in .gz is compressed; of one that begins with unstated, the image
// does not say how long it is then; one with .tar is a tar, as far as the image says.
func cmdDisk(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: disk REF FILE...")
	}
	const format = "application/vnd.automotive.disk.raw"
	repository, ref, err := openRepository(args[0])
	ts.Check(err)
	push := func(mediaType string, content []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		ts.Check(repository.PushBlob(context.Background(), d, content))
		return d
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: format, Config: push(ocispec.MediaTypeEmptyJSON, []byte("{}")),
	}
	for _, file := range args[1:] {
		content, err := os.ReadFile(ts.MkAbs(strings.TrimSuffix(file, ".gz")))
		ts.Check(err)
		mediaType, stored := format, content
		if strings.HasSuffix(file, ".gz") {
			var buffer bytes.Buffer
			w := gzip.NewWriter(&buffer)
			_, _ = w.Write(content)
			ts.Check(w.Close())
			mediaType, stored = format+"+gzip", buffer.Bytes()
		}
		if strings.Contains(file, ".tar") {
			mediaType = strings.Replace(mediaType, format, ocispec.MediaTypeImageLayer, 1)
		}
		layer := push(mediaType, stored)
		layer.Annotations = map[string]string{
			ocispec.AnnotationTitle:                             filepath.Base(file),
			"automotive.sdv.cloud.redhat.com/decompressed-size": fmt.Sprint(len(content)),
		}
		if strings.HasPrefix(filepath.Base(file), "unstated") {
			delete(layer.Annotations, "automotive.sdv.cloud.redhat.com/decompressed-size")
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	text, err := json.Marshal(manifest)
	ts.Check(err)
	ts.Check(repository.PushManifest(context.Background(), ocispec.Descriptor{
		MediaType: manifest.MediaType, Digest: digest.FromBytes(text), Size: int64(len(text)),
	}, text, ref.Tag))
	for _, f := range worldOf(ts).registries {
		f.takeWrites()
	}
}

// cmdNoise is `noise FILE KIB`: a file of so many KiB that cannot be compressed.
func cmdNoise(ts *testscript.TestScript, _ bool, args []string) {
	var size int
	if len(args) != 2 {
		ts.Fatalf("usage: noise FILE KIB")
	}
	_, err := fmt.Sscan(args[1], &size)
	ts.Check(err)
	content := make([]byte, size<<10)
	var seed [32]byte
	copy(seed[:], args[0])
	_, _ = rand.NewChaCha8(seed).Read(content)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o666))
}

// cmdBegins is `begins FILE OTHER`: the first bytes of a file are those of the other
// one; `zero` as the other is a MiB of zeros.
func cmdBegins(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] begins FILE OTHER|zero")
	}
	got, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	want := make([]byte, 1<<20)
	if args[1] != "zero" {
		want, err = os.ReadFile(ts.MkAbs(args[1]))
		ts.Check(err)
	}
	if bytes.HasPrefix(got, want) == neg {
		ts.Fatalf("%s begins as %s: %v, want %v", args[0], args[1], neg, !neg)
	}
}

// cmdLoop is `loop NAME KIB`: a loop device over the file NAME; $NAME is its path, and
// $NAMENAME the last part of that.
func cmdLoop(ts *testscript.TestScript, _ bool, args []string) {
	cmdNoise(ts, false, args)
	device, detach, err := testloop.Attach(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { ts.Check(detach()) })
	ts.Setenv(args[0], device)
	ts.Setenv(args[0]+"NAME", filepath.Base(device))
}

// loops reports why there are no loop devices here; nil is that there are.
var loops = sync.OnceValue(func() error {
	file, err := os.CreateTemp("", "loop")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := file.Truncate(1 << 20); err != nil {
		return err
	}
	_, detach, err := testloop.Attach(file.Name())
	if err != nil {
		return err
	}
	return detach()
})

// cmdMemory is `memory DIR KIB`: a file system of so many KiB on a directory.
// `memory DIR ro` makes it read-only.
func cmdMemory(ts *testscript.TestScript, _ bool, args []string) {
	var size int64
	if len(args) != 2 {
		ts.Fatalf("usage: memory DIR KIB|ro")
	}
	if args[1] == "ro" {
		ts.Check(ts.Exec("mount", "-o", "remount,ro", args[0]))
		return
	}
	_, err := fmt.Sscan(args[1], &size)
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	unmount, err := testloop.MountMemory(ts.MkAbs(args[0]), size<<10)
	ts.Check(err)
	ts.Defer(func() { ts.Check(unmount()) })
}

// mounts reports why nothing can be mounted here; nil is that it can.
var mounts = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	unmount, err := testloop.MountMemory(dir, 1<<20)
	if err != nil {
		return err
	}
	return unmount()
})

// holds decides the conditions of scripts: [loop] is that there are loop devices,
// [mount] that file systems can be mounted.
func holds(condition string) (bool, error) {
	switch condition {
	case "loop":
		return loops() == nil, nil
	case "mount":
		return mounts() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", condition)
}

// cmdHole is `hole FILE AT KIB`: so many zeros from an offset on, both in KiB.
func cmdHole(ts *testscript.TestScript, _ bool, args []string) {
	var at, size int
	if len(args) != 3 {
		ts.Fatalf("usage: hole FILE AT KIB")
	}
	_, err := fmt.Sscan(args[1]+" "+args[2], &at, &size)
	ts.Check(err)
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	clear(content[at<<10 : (at+size)<<10])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o666))
}

// cmdBmap is `bmap FILE`: the block map of a file, as bmaptool makes it, beside it.
func cmdBmap(ts *testscript.TestScript, _ bool, args []string) {
	const block = 4 << 10
	content, err := os.ReadFile(ts.MkAbs(one(ts, args)))
	ts.Check(err)
	var ranges strings.Builder
	mapped, count := 0, (len(content)+block-1)/block
	piece := func(i int) []byte { return content[i*block : min((i+1)*block, len(content))] }
	for i := 0; i < count; i++ {
		first := i
		for i < count && len(bytes.Trim(piece(i), "\x00")) > 0 {
			i++
		}
		if i > first {
			mapped += i - first
			fmt.Fprintf(&ranges, "<Range chksum=\"%x\"> %d-%d </Range>\n", sha256.Sum256(content[first*block:min(i*block, len(content))]), first, i-1)
		}
	}
	const own = "0000000000000000000000000000000000000000000000000000000000000000"
	text := fmt.Sprintf("<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\"><ImageSize> %d </ImageSize><BlockSize> %d </BlockSize><BlocksCount> %d </BlocksCount>"+
		"<MappedBlocksCount> %d </MappedBlocksCount><ChecksumType> sha256 </ChecksumType><BmapFileChecksum> %s </BmapFileChecksum><BlockMap>\n%s</BlockMap></bmap>\n",
		len(content), block, count, mapped, own, ranges.String())
	text = strings.Replace(text, own, fmt.Sprintf("%x", sha256.Sum256([]byte(text))), 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0])+".bmap", []byte(text), 0o666))
}
