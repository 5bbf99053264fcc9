package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/e2e/faultproxy"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testloop"
)

// pullShape is a thing that is pulled, and where to.
type pullShape struct {
	name  string
	files []string // of a disk image, pushed as FILE:TYPE; none is a container
	args  []string // of pull
	dest  string   // below a directory; "-" is standard output, and "device" a device
}

func pullShapes() []pullShape {
	return []pullShape{
		{name: "as stored", files: []string{"disk.raw:raw"}},
		{name: "gzip", files: []string{"disk.raw.gz:raw+gzip"}},
		{name: "zstd", files: []string{"disk.raw.zst:raw+zstd"}, dest: "disk.img"},
		{name: "xz", files: []string{"disk.raw.xz:raw+xz"}},
		{name: "kept compressed", files: []string{"disk.raw.xz:raw+xz"}, args: []string{"--keep-compressed"}},
		{name: "simg", files: []string{"disk.simg:simg"}, dest: "super"},
		{name: "output", files: []string{"disk.raw.gz:raw+gzip"}, dest: "-"},
		{name: "directory", files: []string{"other.raw:raw", "disk.raw.zst:raw+zstd"}},
		{name: "device", files: []string{"disk.raw.gz:raw+gzip"}, dest: "device"},
		{name: "layout", dest: "boots"},
		{name: "tar", dest: "boots.tar"},
		{name: "tar as output", dest: "-"},
	}
}

// pullFault is what is wrong with a registry, and whether pulls get there all the same.
type pullFault struct {
	name  string
	rules []*faultproxy.Rule
	ends  bool
}

// faults are those of a blob of what is pulled, and of the manifests of a container.
func (p *faultyPull) faults(t testing.TB) []pullFault {
	blob := faultproxy.On(http.MethodGet, "/blobs/"+p.blob)
	ranged := func(r *http.Request) bool { return blob(r) && r.Header.Get("Range") != "" }
	whole := func(r *http.Request) bool { return blob(r) && r.Header.Get("Range") == "" }
	half := faultproxy.Action{CutAt: func(size int) int { return size / 2 }}
	anywhere := faultproxy.Action{CutAt: func(size int) int { return rand.IntN(size + 1) }}
	always := func(do faultproxy.Action) []*faultproxy.Rule { return []*faultproxy.Rule{{Match: blob, Do: do}} }
	cutThen := func(rules ...*faultproxy.Rule) []*faultproxy.Rule {
		return append([]*faultproxy.Rule{{Match: whole, Times: 1, Do: half}}, rules...)
	}
	change := func(change func([]byte) []byte) []*faultproxy.Rule { return always(faultproxy.Action{Change: change}) }
	flip := func(match func(*http.Request) bool, at func(size int) int) *faultproxy.Rule {
		return &faultproxy.Rule{Match: match, Do: faultproxy.Action{Change: func(body []byte) []byte {
			body = bytes.Clone(body)
			body[at(len(body))] ^= 1
			return body
		}}}
	}
	first, middle := func(int) int { return 0 }, func(size int) int { return size / 2 }
	last, random := func(size int) int { return size - 1 }, rand.IntN
	longer := func(body []byte) []byte { return append(bytes.Clone(body), 0) }
	chunked := map[string]string{"Transfer-Encoding": "chunked"}
	all := []pullFault{
		{"cut", []*faultproxy.Rule{{Match: blob, Times: 3, Do: anywhere}}, true},
		{"reset", []*faultproxy.Rule{{Match: blob, Times: 1, Do: faultproxy.Action{Reset: true}}}, true},
		{"slow", []*faultproxy.Rule{{Match: blob, Times: 3, Do: faultproxy.Action{Trickle: 20 * time.Millisecond}}}, true},
		{"416 for ranges", cutThen(&faultproxy.Rule{Match: ranged, Do: faultproxy.Action{Status: http.StatusRequestedRangeNotSatisfiable}}), true},
		{"400 for ranges", cutThen(&faultproxy.Rule{Match: ranged, Do: faultproxy.Action{Status: http.StatusBadRequest}}), true},
		{"200 for ranges", cutThen(&faultproxy.Rule{Match: ranged, Do: faultproxy.Action{NoRange: true}}), true},
		{"another range", cutThen(&faultproxy.Rule{Match: ranged, Times: 1, Do: faultproxy.Action{Header: map[string]string{"Content-Range": "bytes 1-2/*"}}}), true},
		{"no length", always(faultproxy.Action{Header: chunked}), true},
		{"addresses that expire", expiring(t, p.proxy.Upstream, blob), true},

		{"the first byte altered", []*faultproxy.Rule{flip(blob, first)}, false},
		{"a byte altered in the middle", []*faultproxy.Rule{flip(blob, middle)}, false},
		{"any byte altered", []*faultproxy.Rule{flip(blob, random)}, false},
		{"the last byte altered", []*faultproxy.Rule{flip(blob, last)}, false},
		{"a range altered", cutThen(flip(ranged, last)), false},
		{"longer", change(longer), false},
		{"longer, without a length", always(faultproxy.Action{Change: longer, Header: chunked}), false},
		{"shorter", change(func(body []byte) []byte { return body[:len(body)-1] }), false},
		{"nothing", change(func([]byte) []byte { return nil }), false},
		{"another blob", change(func(body []byte) []byte { return bytes.Repeat([]byte("other"), len(body))[:len(body)] }), false},
	}
	if manifests := faultproxy.On(http.MethodGet, "/os/it/manifests/"); p.shape.name == "layout" { // they are asked for again and again
		all = append(all, pullFault{"the first byte of manifests altered", []*faultproxy.Rule{flip(manifests, first)}, false},
			pullFault{"a byte of manifests altered", []*faultproxy.Rule{flip(manifests, random)}, false})
	}
	return all
}

// expiring redirects each request to a storage by an address of its own, which is good
// for one request, and cuts two of the answers.
func expiring(t testing.TB, upstream string, blob func(*http.Request) bool) []*faultproxy.Rule {
	used := map[string]bool{}
	storage := faultproxy.New(t, upstream, faultproxy.Faults{Rules: []*faultproxy.Rule{
		{Match: func(r *http.Request) bool {
			signed := r.URL.Query().Get("signed")
			again := used[signed]
			used[signed] = true
			return again || signed == ""
		}, Do: faultproxy.Action{Status: http.StatusForbidden}},
		{Times: 2, Do: faultproxy.Action{CutAt: func(size int) int { return size / 2 }}},
	}})
	return []*faultproxy.Rule{{
		Match: blob,
		Do: faultproxy.Action{Handle: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, fmt.Sprintf("http://%s%s?signed=%d", storage.Host, r.URL.Path, rand.Uint64()), http.StatusTemporaryRedirect)
		}},
	}}
}

// faultyPull is an entry of a shape behind a faulty proxy.
type faultyPull struct {
	*world
	shape  pullShape
	proxy  *faultproxy.Proxy
	device string
	below  string // the file that the device is over
	want   map[string]string
	blob   string // what is spoilt of it, by its digest
}

// pull pulls into a directory, and returns what is there then under its final name,
// by path.
func (p *faultyPull) pull(dir string, args ...string) (result tools.Result, found map[string]string) {
	p.t.Helper()
	dest := filepath.Join(dir, p.shape.dest)
	switch p.shape.dest {
	case "-":
		dest = "-"
	case "device":
		dest, args = p.device, append(args, "--force")
	}
	result = p.run(append(append([]string{"catalog", "pull", "it", dest}, p.shape.args...), args...)...)
	found = map[string]string{}
	switch p.shape.dest {
	case "-":
		if result.Code == 0 {
			found["-"] = result.Stdout
		}
		return result, found
	case "device":
		if text := p.onDevice(); result.Code == 0 || text[:1<<20] != strings.Repeat("\x00", 1<<20) {
			found["device"] = text
		}
		return result, found
	}
	for path, text := range tree(p.t, dir) {
		if !strings.Contains(path, ".part") {
			found[path] = text
		}
	}
	return result, found
}

// onDevice is what the device holds; "" where there is none.
func (p *faultyPull) onDevice() string {
	if p.below == "" {
		return ""
	}
	text, err := os.ReadFile(p.below)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// tree is what is in a directory and all below it, by path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// newFaultyPull publishes an entry of a shape behind a proxy before a registry.
func newFaultyPull(t *testing.T, kind, made string, shape pullShape) *faultyPull {
	t.Helper()
	w, proxy := behind(t, kind, faultproxy.Faults{})
	p := &faultyPull{world: w, shape: shape, proxy: proxy}
	if shape.dest == "device" {
		p.device, p.below = testloop.New(t, 4<<20)
	}
	if len(shape.files) == 0 {
		w.ok("catalog", "publish", w.push("it", "1", "arm64", "amd64"), "--name", "it")
		repository, _ := w.repository(w.on.image("it") + ":1")
		var below struct{ Manifests, Layers []struct{ Digest string } }
		for reference := "1"; len(below.Layers) == 0; reference = below.Manifests[0].Digest {
			_, text, err := repository.Manifest(t.Context(), reference)
			if err != nil {
				t.Fatal(err)
			}
			fromJSON(t, string(text), &below)
		}
		p.blob = below.Layers[0].Digest
		return p
	}
	args := []string{"push", "--plain-http", "--artifact-type", diskType + "raw", w.on.image("it") + ":1"}
	for _, file := range shape.files {
		name, format, _ := strings.Cut(file, ":")
		args = append(args, name+":"+diskType+format)
	}
	must(t, made, tools.Oras(t), args...)
	w.ok("catalog", "publish", w.on.image("it")+":1", "--name", "it")
	var item struct{ ArtifactRefs []struct{ Digest string } }
	fromJSON(t, w.ok("catalog", "get", "it", "-o", "json").Stdout, &item)
	p.blob = item.ArtifactRefs[len(item.ArtifactRefs)-1].Digest
	return p
}

// faultyContent makes the files that are pulled: less than the device has, with holes.
func faultyContent(t testing.TB) (dir string, content []byte) {
	t.Helper()
	dir, content = t.TempDir(), make([]byte, 2<<20)
	noise := rand.NewChaCha8([32]byte{18})
	_, _ = noise.Read(content[:300_000]) // never fails
	_, _ = noise.Read(content[len(content)-300_000:])
	for name, text := range map[string][]byte{"disk.raw": content, "other.raw": content[:50_000]} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for suffix, program := range map[string][2]string{"gz": {"gzip", "gzip"}, "zst": {"zstd", "zstd"}, "xz": {"xz", "xz-utils"}} {
		packInto(t, filepath.Join(dir, "disk.raw."+suffix), filepath.Join(dir, "disk.raw"), program[0], program[1])
	}
	must(t, dir, tools.Debian(t, "img2simg", "android-sdk-libsparse-utils"), "disk.raw", "disk.simg")
	return dir, content
}

// Whatever a registry does to blobs: a pull ends right, or with exit code 9 and nothing
// under a final name, and then ends right once the registry does.
func TestPullThroughFaults(t *testing.T) {
	t.Parallel()
	made, content := faultyContent(t)
	for k, kind := range []string{"distribution-3.1", "ocimem"} {
		for n, shape := range pullShapes() {
			t.Run(kind+"/"+shape.name, func(t *testing.T) {
				t.Parallel()
				p := newFaultyPull(t, kind, made, shape)
				result, want := p.pull(t.TempDir())
				if result.Code != 0 {
					t.Fatalf("without faults: exit code %d\n%s", result.Code, result.Stderr)
				}
				p.want = want
				for name, text := range want {
					if len(shape.files) > 0 && name != "other.raw" && shape.args == nil && !strings.HasPrefix(text, string(content)) {
						t.Fatalf("without faults: %s is not what was pushed", name)
					}
				}
				for f, fault := range p.faults(t) {
					if *full || (k+n+f)%2 == 0 {
						p.through(t, fault)
					}
				}
			})
		}
	}
}

// through pulls what a fault is in the way of.
func (p *faultyPull) through(t *testing.T, fault pullFault) {
	t.Helper()
	dir, before := t.TempDir(), p.onDevice()
	p.proxy.Set(faultproxy.Faults{Rules: fault.rules})
	result, found := p.pull(dir)
	acted := p.proxy.Acted()
	p.proxy.Set(faultproxy.Faults{})
	code := 9
	if fault.ends {
		code = 0
	}
	if !acted {
		t.Errorf("%s: the fault had nothing to act on", fault.name)
	}
	if result.Code != code {
		t.Errorf("%s: exit code %d, want %d\n%s", fault.name, result.Code, code, result.Stderr)
	}
	if !fault.ends {
		for name, text := range found {
			if name != "other.raw" && (name != "device" || text != before) { // it was right, and nothing was written
				t.Errorf("%s: %s has its name", fault.name, name)
			}
		}
		if result, found = p.pull(dir, "--force"); result.Code != 0 {
			t.Errorf("%s, and then no more: exit code %d\n%s", fault.name, result.Code, result.Stderr)
		}
	}
	if len(found) != len(p.want) {
		t.Errorf("%s: got %d files, want %d", fault.name, len(found), len(p.want))
	}
	for name, text := range p.want {
		if found[name] != text {
			t.Errorf("%s: %s has %d bytes that are not what was pulled without faults", fault.name, name, len(found[name]))
		}
	}
}
