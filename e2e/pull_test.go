package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

const diskType = "application/vnd.automotive.disk."

// must runs a program in a directory, which must succeed.
func must(t testing.TB, dir, program string, args ...string) string {
	t.Helper()
	result := tools.RunIn(t, dir, nil, program, args...)
	if result.Code != 0 {
		t.Fatalf("%s %v: %d\n%s%s", program, args, result.Code, result.Stdout, result.Stderr)
	}
	return result.Stdout
}

// within ends a tool that hangs, long after any that works has ended.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// packInto writes a file as a real tool compresses it.
func packInto(t testing.TB, path, from, program, debianPackage string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	command := exec.CommandContext(within(t), tools.Debian(t, program, debianPackage), "-c")
	command.Stdin, command.Stdout, command.Stderr = in, out, os.Stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
}

// diskImages makes a file system with files and holes, and a disk with a partition
// that is this file system, as the tools of Debian make them.
func diskImages(t testing.TB, dir string) {
	t.Helper()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "os-release"), []byte("NAME=AutoSD\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, disk := filepath.Join(dir, "root.raw"), filepath.Join(dir, "disk.raw")
	must(t, dir, tools.Debian(t, "truncate", "coreutils"), "-s", "32M", root)
	must(t, dir, tools.Debian(t, "mkfs.ext4", "e2fsprogs"), "-q", "-F", "-d", tree, root)
	must(t, dir, "truncate", "-s", "40M", disk)
	label := exec.CommandContext(within(t), tools.Debian(t, "sfdisk", "fdisk"), "-q", disk)
	label.Stdin = strings.NewReader("label: gpt\nstart=2048, size=65536\n")
	if out, err := label.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	must(t, dir, "dd", "if="+root, "of="+disk, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
	must(t, dir, tools.Debian(t, "qemu-img", "qemu-utils"), "convert", "-f", "raw", "-O", "qcow2", disk, filepath.Join(dir, "disk.qcow2"))
	must(t, dir, tools.Debian(t, "img2simg", "android-sdk-libsparse-utils"), root, filepath.Join(dir, "super.simg"))
}

// same compares two files byte for byte.
func same(t testing.TB, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Error(err)
		return
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s has %d bytes that are not the %d of %s", got, len(a), len(b), want)
	}
}

// Real disk images, compressed by the real tools and pushed by oras, are written as
// these tools would write them, to the byte, with the holes.
func TestPullRealImages(t *testing.T) {
	t.Parallel()
	oras := tools.Oras(t)
	made := t.TempDir()
	diskImages(t, made)
	for name, program := range map[string]string{"disk.raw.gz": "gzip", "root.raw.xz": "xz", "disk.qcow2.zst": "zstd", "super.simg.lz4": "lz4"} {
		packInto(t, filepath.Join(made, name), filepath.Join(made, strings.TrimSuffix(name, filepath.Ext(name))), program, map[string]string{"xz": "xz-utils"}[program])
	}
	stored := []string{"disk.raw.gz:" + diskType + "raw+gzip", "root.raw.xz:" + diskType + "raw+xz", "disk.qcow2.zst:" + diskType + "qcow2+zstd",
		"super.simg.lz4:" + diskType + "simg+lz4", "disk.raw:" + diskType + "raw"}
	for _, kind := range []string{"distribution-3.1", "ggcr"} {
		w := newWorld(t, targets()[kind](t))
		image := w.on.image("disk") + ":1"
		must(t, made, oras, append([]string{"push", "--plain-http", "--artifact-type", diskType + "raw", image}, stored[:4]...)...)
		w.ok("catalog", "publish", image, "--name", "disk")
		dir, theirs := t.TempDir(), t.TempDir()
		w.ok("catalog", "pull", "disk", dir)
		for _, name := range []string{"disk.raw", "root.raw", "disk.qcow2"} {
			same(t, filepath.Join(dir, name), filepath.Join(made, name))
		}
		must(t, dir, tools.Debian(t, "simg2img", "android-sdk-libsparse-utils"), filepath.Join(made, "super.simg"), filepath.Join(theirs, "super"))
		same(t, filepath.Join(dir, "super"), filepath.Join(theirs, "super"))
		must(t, dir, "fsck.ext4", "-fn", "root.raw")
		if out := must(t, dir, "debugfs", "-R", "cat /os-release", "root.raw"); out != "NAME=AutoSD\n" {
			t.Errorf("the file system holds %q", out)
		}
		if out := must(t, dir, "sfdisk", "-d", "disk.raw"); !strings.Contains(out, "label: gpt") {
			t.Errorf("the partition table is %q", out)
		}
		if info, err := os.Stat(filepath.Join(dir, "disk.raw")); err != nil || info.Sys().(*syscall.Stat_t).Blocks*512 > info.Size()/2 {
			t.Errorf("disk.raw has no holes: %v", err)
		}
		must(t, theirs, oras, "pull", "--plain-http", image)
		kept := t.TempDir()
		w.ok("catalog", "pull", "disk", kept, "--keep-compressed")
		for _, file := range stored[:4] {
			name, _, _ := strings.Cut(file, ":")
			same(t, filepath.Join(kept, name), filepath.Join(theirs, name))
		}
	}
}

// Containers that umoci and buildah made become a layout and a tar that skopeo opens,
// all of them or one platform, with the blobs that skopeo itself would write.
func TestPullContainersForSkopeo(t *testing.T) {
	withImages(t, func(t *testing.T, w *world, images *workshop) {
		index := images.index("boots", "oci", images.container("part", "amd64", "oci"), images.container("part", "arm64", "oci"))
		_, manifest := images.manifest(index)
		docker := images.container("docker", "arm64", "v2s2")
		for n, tt := range []struct {
			image, root string
			copy, pull  []string
		}{
			{index, index, []string{"--all"}, nil},
			{index, index + "@" + manifest.Manifests[1].Digest.String(), nil, []string{"--platform", "linux/arm64"}},
			{docker, docker, nil, nil},
		} {
			name, from := fmt.Sprint("boots", n), tt.root
			if base, digest, ok := strings.Cut(tt.root, "@"); ok {
				from = base[:strings.LastIndex(base, ":")] + "@" + digest
			}
			w.ok("catalog", "publish", tt.image, "--name", name, "--move")
			dir := filepath.Join(images.dir, name)
			w.ok(append([]string{"catalog", "pull", name, dir}, tt.pull...)...)
			w.ok(append([]string{"catalog", "pull", name, dir + ".tar"}, tt.pull...)...)
			tag := tt.image[strings.LastIndex(tt.image, ":"):]
			if tt.image == docker {
				tag = "" // skopeo finds no manifest of Docker's by a tag
			}
			copied := append([]string{"copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"}, tt.copy...)
			images.skopeo(append(copied, "docker://"+from, "dir:"+dir+"-theirs")...)
			images.skopeo(append(copied, "oci:"+dir+tag, "dir:"+dir+"-layout")...)
			images.skopeo(append(copied, "oci-archive:"+dir+".tar"+tag, "dir:"+dir+"-tar")...)
			want := tree(t, dir+"-theirs")
			for _, kind := range []string{"-layout", "-tar"} {
				if diff := cmp.Diff(want, tree(t, dir+kind)); diff != "" || len(want) < 4 {
					t.Errorf("%s%s is not what skopeo copies (-want +got):\n%.2000s", name, kind, diff)
				}
			}
		}
	})
}

// What a pull takes of memory does not depend on how much it writes: 64 MiB for all.
func TestPullMemory(t *testing.T) {
	t.Parallel()
	size := int64(1 << 30)
	if *full {
		size = 8 << 30
	}
	w := newWorld(t, targets()[registries.All()[0].Name](t))
	dir := t.TempDir()
	packed := filepath.Join(dir, "zeros.raw.zst")
	out, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	zstd := exec.CommandContext(within(t), tools.Debian(t, "zstd", "zstd"), "-1", "-c")
	zstd.Stdin, zstd.Stdout = io.LimitReader(zeros{}, size), out
	if err := zstd.Run(); err != nil {
		t.Fatal(err)
	}
	image := w.on.image("zeros") + ":1"
	must(t, dir, tools.Oras(t), "push", "--plain-http", "--artifact-type", diskType+"raw", image, "zeros.raw.zst:"+diskType+"raw+zstd")
	w.ok("catalog", "publish", image, "--name", "zeros")
	peak := func(args ...string) int64 {
		command := exec.CommandContext(within(t), w.caib, args...)
		command.Env = tools.Env(t, w.env)
		var said bytes.Buffer
		command.Stdout, command.Stderr = &said, &said
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		ended, most := make(chan struct{}), make(chan int64)
		go func() { most <- mostMemory(command.Process.Pid, ended) }()
		err := command.Wait()
		close(ended)
		if err != nil {
			t.Fatalf("caib %v: %v\n%s", args, err, said.String())
		}
		return <-most
	}
	got := peak("catalog", "pull", "zeros", dir)
	t.Logf("%d MiB at most for %d MiB of content; %d MiB for get", got>>20, size>>20, peak("catalog", "get", "zeros")>>20)
	if got == 0 || got > 64<<20 {
		t.Errorf("%d MiB, want at most 64, and more than nothing", got>>20)
	}
	if info, err := os.Stat(filepath.Join(dir, "zeros.raw")); err != nil || info.Size() != size || info.Sys().(*syscall.Stat_t).Blocks*512 > 1<<20 {
		t.Errorf("got %v, %v, want %d bytes that are one hole", info, err, size)
	}
}

// mostMemory is the most memory that a process has resident until it ends, in bytes.
// What the system tells of one that has ended is never less than its parent had.
func mostMemory(pid int, ended <-chan struct{}) (most int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if _, rest, found := bytes.Cut(status, []byte("VmHWM:")); found {
			var kib int64
			_, _ = fmt.Sscan(string(rest), &kib) // else it is 0
			most = max(most, kib<<10)
		}
		select {
		case <-ended:
			return most
		case <-tick.C:
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
