package gate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/registry"
)

func newGate(t *testing.T, catalog string, patterns ...string) *gate.Gate {
	t.Helper()
	made, err := gate.New(catalog, patterns, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func reference(t *testing.T, text string) registry.Reference {
	t.Helper()
	ref, err := registry.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// Of layouts, only the catalog's own directory is opened, however it is spelt;
// the others are refused in the same words, whether or not they exist.
func TestGateOpensNoOtherDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, made := range []string{"catalog/sub", "catalog-evil", "other/catalog"} {
		if err := os.MkdirAll(filepath.Join(dir, made), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "other", "secret-name"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "catalog", "catalog/escape": "../other", "here": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, catalog := range []string{"oci:" + dir + "/catalog", "oci:catalog", "oci:./link/", "oci:" + dir + "/other/../catalog"} {
		own := newGate(t, catalog)
		for path, want := range map[string]bool{
			dir + "/catalog": true, dir + "/catalog/": true, dir + "//catalog/.": true, "catalog": true, "./catalog": true, "link": true, "here/here/link": true,
			dir + "/other/../catalog": true, dir + "/catalog/sub/..": true,
			dir + "/catalog-evil": false, dir + "/catalog/../other": false, dir + "/catalog/escape": false, dir + "/catalog/sub": false, dir + "/other": false,
			dir + "/other/catalog": false, dir: false, "other": false, "none": false, "/": false, dir + "/catalog/none": false, "../" + filepath.Base(dir) + "/other": false,
		} {
			ref := reference(t, "oci:"+path+":x")
			passed, err := own.Pass(ref)
			if want {
				if err != nil || passed.Layout != reference(t, catalog).Layout {
					t.Errorf("catalog %s, image in %s: opened as %s, error %v", catalog, path, passed, err)
				}
				continue
			}
			told := ""
			if err != nil {
				told = strings.ReplaceAll(err.Error(), ref.String(), "REF")
			}
			if !errors.Is(err, gate.ErrNotAllowed) || !errors.Is(err, entry.ErrInvalid) ||
				told != "invalid: not allowed: REF: a server opens images from registries only, and from the directory of the catalog they are in" {
				t.Errorf("catalog %s, image in %s: error %v, want a refusal that tells nothing", catalog, path, err)
			}
		}
	}
	if err := newGate(t, "registry.example.com/catalog").Check("oci:catalog:x"); !errors.Is(err, gate.ErrNotAllowed) {
		t.Errorf("a catalog in a registry, image in a directory: error %v, want a refusal", err)
	}
}

// What was let through as the catalog's directory stays that, though a link is
// turned somewhere else afterwards.
func TestGateOpensWhatItChecked(t *testing.T) {
	dir := t.TempDir()
	catalog, link, other := filepath.Join(dir, "catalog"), filepath.Join(dir, "link"), filepath.Join(dir, "other")
	for _, made := range []string{catalog, other} {
		if err := os.Mkdir(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(other, "secret-name"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(catalog, link); err != nil {
		t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	passed, err := newGate(t, "oci:"+catalog).Pass(reference(t, "oci:"+link+":x"))
	if err != nil {
		t.Fatal(err)
	}
	repository, err := client.Open(passed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(other, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Tags(t.Context()); err != nil {
		t.Errorf("the tags of the catalog's directory: %v, want none and no error", err)
	}
}

// Registries are let through by pattern, in one spelling of hosts; the catalog
// always is.
func TestGatePatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, reference string
		want               bool
	}{
		{"registry.example.com", "registry.example.com/any/thing:1", true},
		{"registry.example.com", "REGISTRY.Example.com/any:1", true},
		{"Registry.Example.com", "registry.example.com:443/any:1", true},
		{"registry.example.com:443", "registry.example.com/any:1", true},
		{"registry.example.com", "registry.example.com./any:1", true},
		{"registry.example.com", "registry.example.com:5000/any:1", false},
		{"registry.example.com", "registry.example.com.evil.com/any:1", false},
		{"registry.example.com", "evil.com/registry.example.com:1", false},
		{"registry.example.com/automotive/*", "registry.example.com/automotive/os:1", true},
		{"registry.example.com/automotive/*", "registry.example.com/automotive/os/deep:1", false},
		{"registry.example.com/automotive/*", "registry.example.com/automotive-evil/os:1", false},
		{"registry.example.com/automotive/**", "registry.example.com/automotive/os/deep@sha256:" + strings.Repeat("0", 64), true},
		{"registry.example.com/automotive", "registry.example.com/automotive/os:1", false},
		{"*.example.com", "a.example.com/x:1", true},
		{"*.example.com", "a.example.com:8443/x:1", false},
		{"*.example.com/os/*", "evil.com/a.example.com/os/x:1", false},
		{"**.example.com/os/*", "evil.com/a.example.com/os/x:1", false},
		{"*", "10.0.0.1:5000/x:1", true},
		{"*:443", "10.0.0.1:5000/x:1", false},
		{"*:443", "10.0.0.1/x:1", true},
		{"127.0.0.1:5000", "127.0.0.1:5001/x:1", false},
		{"[::1]:5000", "[0:0::1]:5000/x:1", true},
		{"10.0.0.1", "[::ffff:10.0.0.1]/x:1", true},
		{"localhost", "localhost:80/x:1", true},
		{"docker.io/library/*", "index.docker.io/library/fedora:1", true},
		{"registry-1.docker.io", "docker.io/library/fedora:1", true},
		{"registry.example.com", "catalogs.example.com/team/catalog:x", true},
		{"registry.example.com", "catalogs.example.com/team/other:x", false},
	} {
		err := newGate(t, "catalogs.example.com/team/catalog", test.pattern).Check(test.reference)
		if (err == nil) != test.want || err != nil && (!errors.Is(err, gate.ErrNotAllowed) || !errors.Is(err, entry.ErrUnauthorized) || !strings.Contains(err.Error(), "--allow-registry")) {
			t.Errorf("pattern %s, %s: error %v, want it let through: %t", test.pattern, test.reference, err, test.want)
		}
	}
	if err := newGate(t, "catalogs.example.com/team/catalog").Check("any.example.com/x:1"); err != nil {
		t.Errorf("without patterns: %v, want everything let through", err)
	}
	for _, bad := range []string{
		"", "/x", "https://registry.example.com", "oci:/srv", "registry.example.com/", "registry.example.com/x:1", "registry.example.com/x@sha256:0", "registry.example.com/X",
		"registry.example.com/a//b", "a b", "user@registry.example.com", "registry.example.com/x/", "registry.example.com/[a-z]", "registry.example.com:port", "a,b", strings.Repeat("a", 2000),
	} {
		if _, err := gate.New("registry.example.com/x", []string{bad}, nil); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("pattern %.50q: error %v, want it refused", bad, err)
		}
	}
}

// With a set of hosts, registries pass that are in it or that a pattern matches,
// and no others.
func TestGateWithHosts(t *testing.T) {
	hosts := gate.NewHosts("catalogs.example.com/team/catalog", "oci:/srv/catalog")
	made, err := gate.New("oci:/srv/catalog", []string{"named.example.com"}, hosts)
	if err != nil {
		t.Fatal(err)
	}
	check := func(moment string, want map[string]bool) {
		t.Helper()
		for text, pass := range want {
			if err := made.Check(text); (err == nil) != pass {
				t.Errorf("%s, %s: error %v, want it let through: %t", moment, text, err, pass)
			}
		}
	}
	check("at first", map[string]bool{
		"catalogs.example.com/os/a:1": true, "named.example.com/a:1": true, "docker.io/library/a:1": false,
		"10.0.0.1:5000/a:1": false, "oci:/srv/catalog:a": true, "oci:/srv/other:a": false,
	})
	made.Vouch("index.docker.io/team/x:1")
	made.Vouch("oci:/srv/other:a")
	made.Vouch("no reference")
	check("with another host", map[string]bool{
		"docker.io/library/a:1": true, "docker.io.example.com/a:1": false, "10.0.0.1:5000/a:1": false, "oci:/srv/other:a": false,
	})
	hosts.Clear()
	check("cleared", map[string]bool{"docker.io/library/a:1": false, "catalogs.example.com/os/a:1": true, "named.example.com/a:1": true})
}
