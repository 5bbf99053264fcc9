package catalog_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// replica is a registry beside that of a world. alter changes the bodies of blobs;
// nil leaves them.
type replica struct {
	host  string
	next  http.Handler
	alter func([]byte)
	asked int // for blobs
}

func (r *replica) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if !strings.Contains(request.URL.Path, "/blobs/sha256:") || request.Method != http.MethodGet {
		r.next.ServeHTTP(w, request)
		return
	}
	r.asked++
	answer := httptest.NewRecorder()
	request.Header.Del("Range")
	r.next.ServeHTTP(answer, request)
	body := answer.Body.Bytes()
	if r.alter != nil && answer.Code == http.StatusOK {
		r.alter(body)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

func newReplica(t *testing.T, alter func([]byte)) *replica {
	t.Helper()
	r := &replica{alter: alter, next: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// pushDisk pushes the sample disk image to a repository.
func pushDisk(t *testing.T, client *registry.Client, repository string) {
	t.Helper()
	to, err := client.Open(parse(t, repository))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := samples.Disk(t.Context(), to, "1", samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: "1", Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
}

// withMirrors makes a client to which the world's registry has mirrors, and what it
// warns of.
func (w *world) withMirrors(options registry.Options, hosts ...string) (*registry.Client, *bytes.Buffer) {
	w.t.Helper()
	var warned bytes.Buffer
	options.Attempts, options.Backoff, options.Logger = 2, time.Microsecond, slog.New(slog.NewTextHandler(&warned, nil))
	for _, host := range hosts {
		options.Mirrors = append(options.Mirrors, registry.Mirror{Prefix: w.host, Location: host + "/copies"})
	}
	client, err := registry.New(options)
	if err != nil {
		w.t.Fatal(err)
	}
	return client, &warned
}

// The first place that has a file, and has it right, is where it comes from; whatever
// is wrong elsewhere, the file is right.
func TestPullFromPlaces(t *testing.T) {
	w := newWorld(t, true, nil)
	pushDisk(t, w.client, w.host+"/os/disk")
	w.publish(w.open(catalog.Options{}), w.host+"/os/disk:1", catalog.PublishOptions{Name: "disk"})
	want := filepath.Join(t.TempDir(), "want")
	if _, err := w.open(catalog.Options{}).Pull(t.Context(), "disk", catalog.PullOptions{Dest: want}); err != nil {
		t.Fatal(err)
	}
	whole, lacking, lying, short := newReplica(t, nil), newReplica(t, nil), newReplica(t, flipLast), newReplica(t, flipFirst)
	for _, r := range []*replica{whole, lying, short} {
		pushDisk(t, w.client, r.host+"/copies/os/disk")
	}
	const away = "127.0.0.1:1"
	for _, tt := range []struct {
		name    string
		mirrors []string
		from    string
		warns   string
	}{
		{"a mirror", []string{whole.host}, whole.host, ""},
		{"no mirror", nil, w.host, ""},
		{"one that lacks it", []string{lacking.host, whole.host}, whole.host, ""},
		{"one that is away", []string{away, whole.host}, whole.host, away},
		{"one that alters the end", []string{lying.host, whole.host}, whole.host, lying.host},
		{"one that alters the beginning", []string{short.host}, w.host, short.host},
		{"all sorts", []string{lacking.host, short.host, away, lying.host}, w.host, lying.host},
	} {
		for _, keep := range []bool{false, true} {
			client, warned := w.withMirrors(registry.Options{}, tt.mirrors...)
			c, err := catalog.Open(w.host+"/team/catalog", catalog.Options{Registry: client, CacheDir: w.cacheDir})
			if err != nil {
				t.Fatal(err)
			}
			dest := filepath.Join(t.TempDir(), "disk")
			result, err := c.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dest, KeepCompressed: keep})
			if err != nil || !strings.HasPrefix(result.Files[0].Place, tt.from+"/") || !strings.Contains(warned.String(), tt.warns) || (tt.warns == "") != (warned.Len() == 0) {
				t.Errorf("%s: %v, from %v, warned %q; want it from %s", tt.name, err, result.Files, warned, tt.from)
			}
			if !keep && string(read(t, dest)) != string(read(t, want)) {
				t.Errorf("%s: the file is another one", tt.name)
			}
		}
	}
}

func flipLast(body []byte)  { body[len(body)-1] ^= 1 }
func flipFirst(body []byte) { body[0] ^= 1 }

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// With nothing but liars there is no file; and what goes to an output cannot be asked
// for again.
func TestPullFromLiarsOnly(t *testing.T) {
	w := newWorld(t, true, nil)
	pushDisk(t, w.client, w.host+"/os/disk")
	item := w.publish(w.open(catalog.Options{}), w.host+"/os/disk:1", catalog.PublishOptions{Name: "disk"}).Item
	lying, other, whole := newReplica(t, flipLast), newReplica(t, flipLast), newReplica(t, nil)
	for _, r := range []*replica{lying, other, whole} {
		pushDisk(t, w.client, r.host+"/copies/os/disk")
	}
	liars, _ := w.withMirrors(registry.Options{Getenv: func(name string) string {
		return map[string]string{"CONTAINERS_REGISTRIES_CONF": conf(t, w.host, other.host+"/copies")}[name]
	}}, lying.host)
	dest := filepath.Join(t.TempDir(), "disk")
	if _, err := catalog.PullItem(t.Context(), liars, &item, catalog.PullOptions{Dest: dest}); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("of liars: %v, want malformed", err)
	}
	for _, suffix := range []string{"", ".part", ".part.digest", ".part.out", ".part.lock"} {
		if _, err := os.Stat(dest + suffix); err == nil {
			t.Errorf("there is a file %s", dest+suffix)
		}
	}
	mixed, _ := w.withMirrors(registry.Options{}, lying.host, whole.host)
	var out bytes.Buffer
	if _, err := catalog.PullItem(t.Context(), mixed, &item, catalog.PullOptions{Out: &out}); !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), lying.host) {
		t.Errorf("to an output: %v, want malformed with %s", err, lying.host)
	}
}

// conf is a registries.conf that has moved a registry.
func conf(t *testing.T, prefix, location string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(path, []byte("[[registry]]\nprefix = '"+prefix+"'\nlocation = '"+location+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a mirror has, the origin is not asked for; nor what its tag names now.
func TestPullWithoutTheOrigin(t *testing.T) {
	w := newWorld(t, true, nil)
	pushDisk(t, w.client, w.host+"/os/disk")
	item := w.publish(w.open(catalog.Options{}), w.host+"/os/disk:1", catalog.PublishOptions{Name: "disk"}).Item
	whole := newReplica(t, nil)
	pushDisk(t, w.client, whole.host+"/copies/os/disk")
	none := item // its registry is away, and so no mirror is one of it
	none.RegistryURL = "127.0.0.1:1/os/disk:1"
	none.ArtifactRefs = append([]entry.ArtifactRef{}, item.ArtifactRefs...)
	for n := range none.ArtifactRefs {
		none.ArtifactRefs[n].URL = strings.Replace(item.ArtifactRefs[n].URL, w.host, "127.0.0.1:1", 1)
	}
	client, _ := w.withMirrors(registry.Options{Transport: w.counter, Mirrors: []registry.Mirror{{Prefix: "127.0.0.1:1", Location: whole.host + "/copies"}}})
	dest := filepath.Join(t.TempDir(), "disk")
	var result catalog.PullResult
	var err error
	asked := w.counter.during(func() { result, err = catalog.PullItem(t.Context(), client, &none, catalog.PullOptions{Dest: dest}) })
	if err != nil || !strings.HasPrefix(result.Files[0].Place, whole.host) {
		t.Errorf("%v, of %v; want it from %s", err, result.Files, whole.host)
	}
	for _, request := range asked {
		if !strings.Contains(request, "/v2/copies/os/disk/") {
			t.Errorf("the origin was asked: %s", request)
		}
	}
}

// A container comes from mirrors too, and liars cost a further question a blob.
func TestPullContainerFromPlaces(t *testing.T) {
	w := newWorld(t, true, nil)
	item := w.publish(w.open(catalog.Options{}), w.push("os/autosd", "1", "1"), catalog.PublishOptions{}).Item
	lying, whole := newReplica(t, flipLast), newReplica(t, nil)
	for _, r := range []*replica{lying, whole} {
		other := *w
		other.host = r.host
		other.push("copies/os/autosd", "1", "1")
	}
	client, warned := w.withMirrors(registry.Options{}, lying.host, whole.host)
	dest := filepath.Join(t.TempDir(), "layout")
	counted := map[string]int64{}
	count := func(dest string) func(catalog.PullProgress) {
		return func(p catalog.PullProgress) { counted[dest] = p.Bytes }
	}
	result, err := catalog.PullItem(t.Context(), client, &item, catalog.PullOptions{Dest: dest, Progress: count("of liars too")})
	if err != nil || !strings.HasPrefix(result.Files[0].Place, whole.host) || !strings.Contains(warned.String(), lying.host) {
		t.Errorf("%v, of %v, warned %q; want it from %s", err, result.Files, warned, whole.host)
	}
	unmirrored, _ := w.withMirrors(registry.Options{})
	w.push("os/autosd", "1", "2")
	result, err = catalog.PullItem(t.Context(), unmirrored, &item, catalog.PullOptions{Dest: dest + "2", Progress: count("of none")})
	if err != nil || result.ReferenceNow == "" {
		t.Errorf("%v, without mirrors the tag names %q now", err, result.ReferenceNow)
	}
	if counted["of none"] == 0 || counted["of liars too"] != counted["of none"] {
		t.Errorf("counted %v bytes, want as many each time", counted)
	}
}
