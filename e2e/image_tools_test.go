package e2e

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

const automotive = "automotive.sdv.cloud.redhat.com/"

// workshop makes images with the tools that people make them with, and pushes
// them to a registry.
type workshop struct {
	t    *testing.T
	dir  string
	host string
}

// withImages runs a test on registries with and without the Referrers API.
func withImages(t *testing.T, test func(t *testing.T, w *world, images *workshop)) {
	for _, start := range []func(testing.TB) registries.Server{
		func(t testing.TB) registries.Server { return registries.Distribution3(t, true) }, registries.OCIMem,
	} {
		server := start(t)
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at(server.Host, server.Name, server.Referrers))
			test(t, w, &workshop{t: t, dir: t.TempDir(), host: server.Host})
		})
	}
}

// run runs a tool in the workshop's directory, which has its own containers
// storage, and returns what it prints.
func (s *workshop) run(program string, args ...string) string {
	s.t.Helper()
	storage := filepath.Join(s.dir, "storage.conf")
	if _, err := os.Stat(storage); err != nil {
		text := "[storage]\ndriver = \"vfs\"\nrunroot = \"" + s.dir + "/run\"\ngraphroot = \"" + s.dir + "/graph\"\n"
		s.write("storage.conf", text)
	}
	env := []string{"CONTAINERS_STORAGE_CONF=" + storage, "BUILDAH_ISOLATION=chroot", "TMPDIR=" + s.dir}
	result := tools.RunIn(s.t, s.dir, env, program, args...)
	if result.Code != 0 {
		s.t.Fatalf("%s %v: exit code %d\n%s%s", program, args, result.Code, result.Stdout, result.Stderr)
	}
	return result.Stdout
}

func (s *workshop) umoci(args ...string)   { s.run(tools.Debian(s.t, "umoci", "umoci"), args...) }
func (s *workshop) buildah(args ...string) { s.run(tools.Debian(s.t, "buildah", "buildah"), args...) }
func (s *workshop) qemuImg(args ...string) string {
	return s.run(tools.Debian(s.t, "qemu-img", "qemu-utils"), args...)
}
func (s *workshop) oras(args ...string) string { return s.run(tools.Oras(s.t), args...) }

func (s *workshop) skopeo(args ...string) string {
	return s.run(tools.Debian(s.t, "skopeo", "skopeo"), append([]string{"--insecure-policy"}, args...)...)
}

func (s *workshop) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

// container makes a bootc container of two layers with umoci and pushes it
// with skopeo, in the format oci or v2s2. It returns the reference.
func (s *workshop) container(name, architecture, format string) string {
	s.t.Helper()
	if _, err := os.Stat(filepath.Join(s.dir, "layout")); err != nil {
		s.umoci("init", "--layout", "layout")
	}
	image := "layout:" + architecture
	s.write("os-release", "ID=autosd\nARCHITECTURE="+architecture+"\n")
	s.write("kernel", strings.Repeat("kernel "+architecture, 1000))
	s.umoci("new", "--image", image)
	s.umoci("insert", "--rootless", "--image", image, "os-release", "/usr/lib/os-release")
	s.umoci("insert", "--rootless", "--image", image, "kernel", "/usr/lib/modules/6.12/vmlinuz")
	s.umoci("config", "--image", image, "--architecture", architecture, "--os", "linux", "--created", "2026-03-01T12:00:00Z",
		"--config.label", "containers.bootc=1",
		"--manifest.annotation", automotive+"distro=autosd10-sig", "--manifest.annotation", automotive+"target=rpi4")
	reference := s.host + "/os/" + name + ":" + architecture
	s.skopeo("copy", "--quiet", "--dest-tls-verify=false", "--format", format, "oci:"+image, "docker://"+reference)
	return reference
}

// index makes one image of several with buildah.
func (s *workshop) index(name, format string, images ...string) string {
	s.t.Helper()
	s.buildah("manifest", "create", name)
	for _, image := range images {
		s.buildah("manifest", "add", "--tls-verify=false", name, "docker://"+image)
	}
	reference := s.host + "/os/" + name + ":multi"
	s.buildah("manifest", "push", "--all", "--tls-verify=false", "--format", format, name, "docker://"+reference)
	return reference
}

// disk makes a disk with qemu-img, compresses it, and pushes it with oras. It
// returns the reference and the size of the disk's file.
func (s *workshop) disk(name string) (reference string, size int64) {
	s.t.Helper()
	s.qemuImg("create", "-q", "-f", "qcow2", "disk.qcow2", "64M")
	size = s.compress("disk.qcow2")
	s.write("annotations.json", `{"$manifest": {"`+automotive+`distro": "autosd10-sig", "`+automotive+`target": "qemu", "`+automotive+`arch": "x86_64"},
		"disk.qcow2.gz": {"`+automotive+`decompressed-size": "`+jsonText(size)+`"}}`)
	reference = s.host + "/os/" + name + ":1"
	s.oras("push", "--plain-http", "--annotation-file", "annotations.json", "--artifact-type", "application/vnd.automotive.disk.qcow2+gzip",
		reference, "disk.qcow2.gz:application/vnd.automotive.disk.qcow2+gzip")
	return reference, size
}

// partitions pushes a disk of one file a partition with oras.
func (s *workshop) partitions(name string) string {
	s.t.Helper()
	annotations := map[string]map[string]string{"$manifest": {automotive + "arch": "aarch64", automotive + "multi-layer": "true", automotive + "target": "ride4"}}
	args := []string{"push", "--plain-http", "--annotation-file", "partitions.json", "--artifact-type", "application/vnd.automotive.disk.simg+gzip", s.host + "/os/" + name + ":1"}
	for _, partition := range []string{"boot_a", "system_a", "vendor"} {
		file := partition + ".simg"
		s.write(file, strings.Repeat(partition, 500))
		size := s.compress(file)
		annotations[file+".gz"] = map[string]string{automotive + "partition": partition, automotive + "decompressed-size": jsonText(size)}
		args = append(args, file+".gz:application/vnd.automotive.disk.simg+gzip")
	}
	s.write("partitions.json", jsonText(annotations))
	s.oras(args...)
	return s.host + "/os/" + name + ":1"
}

// compress writes FILE.gz and returns the size of FILE.
func (s *workshop) compress(name string) int64 {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(s.dir, name+".gz"))
	if err != nil {
		s.t.Fatal(err)
	}
	writer := gzip.NewWriter(file)
	_, err = writer.Write(text)
	for _, err := range []error{err, writer.Close(), file.Close()} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return int64(len(text))
}

// manifest is what the oras command says of a manifest or an index: its
// descriptor, and its content.
func (s *workshop) manifest(reference string) (d ocispec.Descriptor, content struct {
	ocispec.Manifest
	Manifests []ocispec.Descriptor `json:"manifests"`
}) {
	s.t.Helper()
	fromJSON(s.t, s.oras("manifest", "fetch", "--plain-http", "--descriptor", reference), &d)
	text := s.oras("manifest", "fetch", "--plain-http", reference)
	fromJSON(s.t, text, &content)
	if got := digest.FromString(strings.TrimSuffix(text, "\n")); got != d.Digest && digest.FromString(text) != d.Digest {
		s.t.Fatalf("oras prints a manifest with digest %s, not %s", got, d.Digest)
	}
	return d, content
}

// unpacked returns the digest and size of a compressed file, and its size
// decompressed.
func unpacked(t *testing.T, path string) (digest.Digest, int64, int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	size, err := io.Copy(io.Discard, reader)
	if err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(text), int64(len(text)), size
}

func fromJSON(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps and numbers
	}
	return string(text)
}
