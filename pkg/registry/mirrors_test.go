package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// placesOf are where an image is by options, and what was warned of.
func placesOf(t *testing.T, options Options, image string) (places []string, warned string, err error) {
	t.Helper()
	var log bytes.Buffer
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := client.Places(ref)
	for _, ref := range refs {
		places = append(places, ref.String())
	}
	return places, log.String(), err
}

// home is an environment whose user has these files below .config/containers.
func home(t *testing.T, files map[string]string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, ".config", "containers", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text, 0o644)
	}
	return func(name string) string { return map[string]string{"HOME": dir}[name] }
}

// placeCase is where an image is; without a digest, they all have the same.
type placeCase struct {
	name    string
	image   string // "" is registry.example.com/team/app
	mirrors []string
	conf    string
	want    []string
}

func placesByOption() []placeCase {
	return []placeCase{
		{"none", "", nil, "", []string{"registry.example.com/team/app"}},
		{"of a host", "", []string{"registry.example.com=m.example.org"}, "", []string{"m.example.org/team/app", "registry.example.com/team/app"}},
		{"with slashes at the end", "", []string{"registry.example.com/=m.example.org/ex/"}, "", []string{"m.example.org/ex/team/app", "registry.example.com/team/app"}},
		{"in order", "", []string{"registry.example.com/team=a.example/x", "registry.example.com=b.example"}, "", []string{"a.example/x/app", "b.example/team/app", "registry.example.com/team/app"}},
		{"of another spelling", "", []string{"Registry.example.com:443/team=m.example.org"}, "", []string{"m.example.org/app", "registry.example.com/team/app"}},
		{"of another namespace", "", []string{"registry.example.com/tea=m.example.org", "registry.example.co=m.example.org", "example.com=m.example.org"}, "", []string{"registry.example.com/team/app"}},
		{"of the repository", "", []string{"registry.example.com/team/app=m.example.org/other"}, "", []string{"m.example.org/other", "registry.example.com/team/app"}},
		{"of itself", "", []string{"registry.example.com=registry.example.com"}, "", []string{"registry.example.com/team/app"}},
		{"without the tag", "registry.example.com/team/app:1", []string{"registry.example.com=m.example.org"}, "", []string{"m.example.org/team/app", "registry.example.com/team/app"}},
		{"of Docker Hub", "docker.io/debian", []string{"index.docker.io=m.example.org"}, "", []string{"m.example.org/library/debian", "docker.io/debian"}},
		{"of a layout", "oci:/srv/image", []string{"srv=m.example.org"}, "", []string{"oci:/srv/image"}},
	}
}

func placesByFile() []placeCase {
	return []placeCase{
		{"of a file", "", nil, `
			[[registry]]
			location = "registry.example.com"
			[[registry.mirror]]
			location = "a.example/x"
			[[registry.mirror]]
			location = "tags.example"
			pull-from-mirror = "tag-only"
			[[registry.mirror]]
			location = "b.example"
			pull-from-mirror = "digest-only"
			insecure = true`, []string{"a.example/x/team/app", "b.example/team/app", "registry.example.com/team/app"}},
		{"by the longest prefix", "", nil, `
			unqualified-search-registries = ["docker.io"]
			[[registry]]
			location = "registry.example.com"
			mirror = [{location = "a.example"}]
			[[registry]]
			prefix = "registry.example.com/team"
			location = "moved.example/team2"
			mirror = [{location = "b.example"}]`, []string{"b.example/app", "moved.example/team2/app"}},
		{"of every host of a domain", "", nil, `
			[[registry]]
			prefix = "*.example.com"
			mirror = [{location = "a.example"}]`, []string{"a.example/team/app", "registry.example.com/team/app"}},
		{"of both", "", []string{"registry.example.com=m.example.org"}, `
			[[registry]]
			location = "registry.example.com"
			mirror = [{location = "a.example"}]`, []string{"m.example.org/team/app", "a.example/team/app", "registry.example.com/team/app"}},
	}
}

func TestPlaces(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	for _, tt := range append(placesByOption(), placesByFile()...) {
		t.Run(tt.name, func(t *testing.T) {
			options := Options{Getenv: home(t, map[string]string{"registries.conf": tt.conf})}
			for _, text := range tt.mirrors {
				mirror, err := ParseMirror(text)
				if err != nil {
					t.Fatal(err)
				}
				options.Mirrors = append(options.Mirrors, mirror)
			}
			got, warned, err := placesOf(t, options, cmp.Or(tt.image, "registry.example.com/team/app")+digest)
			for n := range tt.want {
				tt.want[n] += digest
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || err != nil || warned != "" {
				t.Errorf("got %q, %v, warned %q; want %q", got, err, warned, tt.want)
			}
		})
	}
}

func TestParseMirrorRefuses(t *testing.T) {
	for _, text := range []string{
		"", "a.example", "=b.example", "a.example=", "a.example=https://b.example", "https://a.example=b.example", "a.example=oci:/srv",
		"a.example=b.example/UPPER", "a.example=b.example/x:1", "a.example=b.example/x@sha256:" + strings.Repeat("a", 64), "*.a.example/x=b.example",
		"a.example=-b", "a.example=b\x1b.example", strings.Repeat("a", 2000) + "=b.example", "a.example=" + strings.Repeat("b", 2000),
	} {
		if _, err := ParseMirror(text); kind(err) != "invalid" || len(err.Error()) > 300 {
			t.Errorf("%.80q: %v, want it invalid", text, err)
		}
	}
}

// A drop-in takes the place of what another file says of the same prefix.
func TestDropIns(t *testing.T) {
	rule := func(mirror string) string {
		return fmt.Sprintf("[[registry]]\nlocation = \"registry.example.com\"\nmirror = [{location = %q}]\n", mirror)
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"of one file", map[string]string{"registries.conf": rule("a.example")}, "a.example"},
		{"of a drop-in", map[string]string{"registries.conf": rule("a.example"), "registries.conf.d/1.conf": rule("b.example")}, "b.example"},
		{"of the last", map[string]string{"registries.conf.d/2.conf": rule("c.example"), "registries.conf.d/1.conf": rule("b.example")}, "c.example"},
		{"of files with another name", map[string]string{"registries.conf.d/1.conf": rule("b.example"), "registries.conf.d/2.txt": rule("c.example")}, "b.example"},
		{"beside one that is wrong", map[string]string{"registries.conf.d/1.conf": rule("b.example"), "registries.conf.d/2.conf": "location ="}, "b.example"},
	} {
		got, warned, err := placesOf(t, Options{Getenv: home(t, tt.files)}, "registry.example.com/app")
		if err != nil || len(got) != 2 || got[0] != tt.want+"/app" || (warned != "") != strings.Contains(tt.name, "wrong") {
			t.Errorf("%s: got %q, %v, warned %q; want %s first", tt.name, got, err, warned, tt.want)
		}
	}
}

// What the user's file says, it says instead of the system's.
func TestRegistriesFiles(t *testing.T) {
	system := t.TempDir()
	writeFile(t, filepath.Join(system, "registries.conf"), "", 0o644)
	getenv := home(t, map[string]string{"registries.conf": ""})
	own := filepath.Join(getenv("HOME"), ".config", "containers", "registries.conf")
	none := func(string) string { return "" }
	xdg := func(name string) string {
		return map[string]string{"HOME": "/none", "XDG_CONFIG_HOME": filepath.Join(getenv("HOME"), ".config")}[name]
	}
	for name, tt := range map[string]struct {
		getenv func(string) string
		want   []string
	}{"both": {getenv, []string{own}}, "the system's": {none, []string{filepath.Join(system, "registries.conf")}}, "by XDG_CONFIG_HOME": {xdg, []string{own}}, "no environment": {nil, nil}} {
		set, found := registriesFiles(tt.getenv, system)
		if set != "" || fmt.Sprint(found) != fmt.Sprint(tt.want) {
			t.Errorf("%s: got %q and %q, want %q", name, set, found, tt.want)
		}
	}
}

// A file that somebody set must be right; another one is passed over with a warning.
func TestWrongRegistriesConf(t *testing.T) {
	for name, text := range map[string]string{
		"no TOML": "location", "another type": "[[registry]]\nlocation = 3", "version 1": "[registries.search]\nregistries = ['a']",
		"no location": "[[registry]]\nprefix = 'a.example'", "nothing": "[[registry]]\nblocked = true", "a mirror without location": "[[registry]]\nlocation = 'a.example'\nmirror = [{}]",
		"a scheme": "[[registry]]\nlocation = 'https://a.example'", "an unknown word": "[[registry]]\nlocation = 'a.example'\nmirror = [{location = 'b.example', pull-from-mirror = 'never'}]",
		"a path below any host": "[[registry]]\nprefix = '*.a.example/x'", "too long": strings.Repeat("# x\n", maxRegistriesConf),
		"too deep": "a = " + strings.Repeat("[", maxRegistriesConf-10), "tables too deep": "a = " + strings.Repeat("{a=", maxRegistriesConf/4),
	} {
		t.Run(name, func(t *testing.T) {
			getenv := home(t, map[string]string{"registries.conf": text})
			got, warned, err := placesOf(t, Options{Getenv: getenv}, "registry.example.com/app")
			if len(got) != 1 || err != nil || !strings.Contains(warned, "registries.conf") {
				t.Errorf("of the user: %q, %v, warned %q; want a warning", got, err, warned)
			}
			path := filepath.Join(getenv("HOME"), ".config", "containers", "registries.conf")
			set := func(name string) string { return map[string]string{"CONTAINERS_REGISTRIES_CONF": path}[name] }
			if _, _, err = placesOf(t, Options{Getenv: set}, "registry.example.com/app"); kind(err) != "invalid" || !strings.Contains(err.Error(), path) {
				t.Errorf("set: %v, want it invalid with %s", err, path)
			}
		})
	}
	set := func(name string) string { return map[string]string{"CONTAINERS_REGISTRIES_CONF": "/none/x"}[name] }
	if _, _, err := placesOf(t, Options{Getenv: set}, "registry.example.com/app"); kind(err) != "invalid" {
		t.Errorf("a file that is set and missing: %v", err)
	}
}

func TestBlocked(t *testing.T) {
	getenv := home(t, map[string]string{"registries.conf": "[[registry]]\nlocation = 'registry.example.com/team'\nblocked = true"})
	if _, _, err := placesOf(t, Options{Getenv: getenv}, "registry.example.com/team/app"); kind(err) != "invalid" || !strings.Contains(err.Error(), "blocks registry.example.com/team") {
		t.Errorf("got %v, want it blocked", err)
	}
	if got, _, err := placesOf(t, Options{Getenv: getenv}, "registry.example.com/other/app"); len(got) != 1 || err != nil {
		t.Errorf("of another namespace: %q, %v", got, err)
	}
}
