package e2e

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What `get` prints to be pasted is run by a shell, as it is printed, with the real
// tools: oras, and skopeo in place of podman, whose options these are.

// asPodman runs skopeo with what podman pull is given.
const asPodman = `#!/bin/sh
[ "$1" = pull ] || exit 64
shift
left=$#
while [ $left -gt 1 ]; do set -- "$@" "$1"; shift; left=$((left - 1)); done
reference=$1
shift
exec skopeo inspect "$@" "docker://$reference"
`

// pasting runs the lines that get prints of an entry.
type pasting struct {
	t   *testing.T
	dir string
	env []string
}

func newPasting(t *testing.T) *pasting {
	t.Helper()
	p := &pasting{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.dir, "podman"), []byte(asPodman), 0o755); err != nil {
		t.Fatal(err)
	}
	path := []string{p.dir, filepath.Dir(tools.Oras(t)), filepath.Dir(tools.Debian(t, "skopeo", "skopeo")), os.Getenv("PATH")}
	p.env = []string{"PATH=" + strings.Join(path, ":"), "HOME=" + p.dir}
	return p
}

// paste runs every line for podman and oras of what get printed as JSON, and returns
// the tools that there were lines for.
func (p *pasting) paste(printed string) (ran []string) {
	p.t.Helper()
	var item struct {
		Commands []struct{ Tool, For, Line string } `json:"commands"`
	}
	if err := json.Unmarshal([]byte(printed), &item); err != nil {
		p.t.Fatalf("%v\n%s", err, printed)
	}
	for _, command := range item.Commands {
		ran = append(ran, command.Tool)
		if command.Tool != "podman" && command.Tool != "oras" {
			continue
		}
		result := tools.RunIn(p.t, p.t.TempDir(), p.env, "sh", "-c", command.Line)
		if result.Code != 0 {
			p.t.Errorf("%s: exit code %d\n%s%s", command.Line, result.Code, result.Stdout, result.Stderr)
		}
	}
	slices.Sort(ran)
	return slices.Compact(ran)
}

func TestPastedLines(t *testing.T) {
	p := newPasting(t)
	server := registries.Distribution3(t, true)
	w := newWorld(t, at(server.Host, server.Name, server.Referrers))
	w.ok("catalog", "publish", w.push("app", "1", "arm64", "amd64"), "--name", "app")
	disk := pushDisk(t, w.on.image("disk")+":1", registry.Options{})
	w.ok("catalog", "publish", disk, "--name", "disk")
	for name, want := range map[string]string{"app": "bootc podman", "disk": "j oras"} {
		w.push("app", "1", "arm64") // the tag has moved since
		if got := strings.Join(p.paste(w.ok("catalog", "get", name, "-o", "json").Stdout), " "); got != want {
			t.Errorf("get %s prints lines for %s, want %s", name, got, want)
		}
	}
}

func TestPastedLinesCarryAccess(t *testing.T) {
	p := newPasting(t)
	a := newAuthority(t)
	l := loginAt(t, a.serve(t, tls.NoClientCert, htpasswd(t, map[string]string{"alice": alicePassword})))
	l.env = append(l.env, "CAIB_PLAIN_HTTP=false")
	l.write(filepath.Join("authorities of ours", "ca.crt"), a.pem)
	l.write(filepath.Join("authorities of ours", "ca.pem"), a.pem)
	l.write(filepath.Join("certs.d", l.host, "ca.crt"), a.pem)
	options := registry.Options{
		PlainHTTP: func(string) bool { return false }, CertificateDirs: []string{filepath.Join(l.home, "certs.d")},
		AuthFile: l.auths("auth file.json", map[string][2]string{l.host: {"alice", alicePassword}}),
	}
	images := map[string]string{"autosd": l.push("os/autosd", "alice", alicePassword, options), "disk": pushDisk(t, l.host+"/os/disk:1", options)}
	want := map[string]string{"autosd": "bootc podman", "disk": "j oras"}
	for _, ca := range []string{"ca.pem", "ca.crt"} {
		access := []string{"--ca-file", filepath.Join(l.home, "authorities of ours", ca), "--authfile", options.AuthFile}
		for name, image := range images {
			l.exits(0, append([]string{"catalog", "publish", image}, access...)...)
			printed := l.exits(0, append([]string{"catalog", "get", name, "-o", "json"}, access...)...)
			if got := strings.Join(p.paste(printed.Stdout), " "); got != want[name] {
				t.Errorf("get %s prints lines for %s, want %s", name, got, want[name])
			}
		}
	}
}

// pushDisk pushes a disk image as an artifact, and returns its reference.
func pushDisk(t *testing.T, reference string, options registry.Options) string {
	t.Helper()
	client, err := registry.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := registry.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	to, err := client.Open(ref)
	if err == nil {
		_, err = samples.Disk(t.Context(), to, "1", samples.Build{Distro: "autosd", Target: "qemu", Architectures: []string{"arm64"}, Version: "1"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return reference
}
