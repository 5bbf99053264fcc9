package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/server"
)

// planted is an entry that somebody wrote into the catalog by hand.
func planted(name, image string) *revision.Document {
	return &revision.Document{
		Name: name, Version: "1", Image: revision.Image{Reference: image, Digest: digest.FromString("x"), MediaType: ocispec.MediaTypeImageManifest, Size: 1},
		Source: entry.Source{Type: entry.SourceImageBuild, ImageBuild: "build-" + name}, PublishedAt: entry.NewTime(time.Now()),
	}
}

// Through no door does the server open a directory for an entry, or tell whether
// it is there; the phase stays what it was.
func TestServerOpensNoDirectories(t *testing.T) {
	w := newWorld(t)
	there := t.TempDir()
	if err := os.WriteFile(filepath.Join(there, "secret-name"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	w.append(planted("there", "oci:"+there+":x"), planted("nowhere", "oci:"+nowhere+":x"))
	w.startReady(w.allowPublish)
	plain := func(a answer) string {
		text := strings.NewReplacer(there, "DIR", nowhere, "DIR", "nowhere", "NAME", "there", "NAME").Replace(string(a.body))
		return fmt.Sprint(a.status, " ", text)
	}
	for _, door := range []struct {
		method, path, body string
		want               string
	}{
		{"POST", "/v1/catalog/images/%s/verify", "", `"triggered":false`},
		{"POST", "/v1/catalog/images/%s/verify?wait=true", "", `"failure":`},
		{"POST", "/v1/catalog/publish", `{"image":"oci:%s:x"}`, "from registries only"},
		{"POST", "/v1/catalog/publish", `{"image":"` + w.host + `/os/a:1","disk":"oci:%s:x"}`, "from registries only"},
		{"POST", "/v1/catalog/publish", `{"imageBuildName":"build-%s"}`, "from registries only"},
		{"POST", "/v1/catalog/publish", `{"imageBuildName":"build-%s","catalogImageName":"other"}`, "from registries only"},
		{"POST", "/v1/catalog/images", `{"name":"new","registryUrl":"oci:%s:x"}`, "from registries only"},
		{"POST", "/v1/catalog/images", `{"name":"new","registryUrl":"oci:%s:x","dryRun":true}`, "from registries only"},
		{"GET", "/v1/catalog/images/%s?version=1", "", `"phase":"Available"`},
	} {
		fill := func(name, dir string) answer {
			path, body := door.path, door.body
			if strings.Contains(path, "%s") {
				path = fmt.Sprintf(path, name)
			}
			if strings.Contains(body, "oci:%s") {
				body = fmt.Sprintf(body, dir)
			} else if strings.Contains(body, "%s") {
				body = fmt.Sprintf(body, name)
			}
			return w.ask(door.method, path, body, bearer)
		}
		first, second := fill("there", there), fill("nowhere", nowhere)
		if !strings.Contains(string(first.body), door.want) || strings.Contains(string(first.body), "secret-name") {
			t.Errorf("%s %s %s: %d %s, want %s", door.method, door.path, door.body, first.status, first.body, door.want)
		}
		if door.method != "GET" && plain(first) != plain(second) {
			t.Errorf("%s %s %s tells what is on the disk:\n%s\n%s", door.method, door.path, door.body, plain(first), plain(second))
		}
	}
	for _, item := range w.list("?phase=all&latest=false").Items {
		if item.Phase != entry.PhaseAvailable || item.StatusMessage != "" {
			t.Errorf("%s is %s %s, want it as it was published", item.Name, item.Phase, item.StatusMessage)
		}
	}
	if text := w.log.String(); strings.Contains(text, "secret-name") || !strings.Contains(text, "images are not probed") {
		t.Errorf("the log has names from the directory, or no line about what is not probed:\n%s", text)
	}
}

// What the served state does not show yet is kept out where repositories are
// opened: an entry that changed since the last read is not opened, either.
func TestServerOpensNothingBehindItsState(t *testing.T) {
	w := newWorld(t)
	there := t.TempDir()
	if err := os.WriteFile(filepath.Join(there, "secret-name"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	image := w.push("os/a", "1")
	early := planted("a", image)
	early.PublishedAt = entry.NewTime(time.Now().Add(-time.Hour))
	w.append(early)
	w.startReady(func(o *server.Options) {
		w.allowPublish(o)
		o.Refresh = time.Hour
	})
	w.append(planted("a", "oci:"+there+":x"))
	a := w.ask("POST", "/v1/catalog/publish", `{"imageBuildName":"build-a"}`, bearer)
	if a.status != 400 || !strings.Contains(string(a.body), "from registries only") {
		t.Errorf("published again: %d %s, want it refused", a.status, a.body)
	}
	a = w.ask("POST", "/v1/catalog/images/a/verify?wait=true", "")
	if !strings.Contains(string(a.body), "from registries only") || strings.Contains(string(a.body), "secret-name") {
		t.Errorf("verified: %d %s, want it refused", a.status, a.body)
	}
}

// The images in a catalog's own directory are probed, verified and published.
func TestServerOpensItsOwnDirectory(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	to, err := w.client.Open(parse(t, "oci:"+dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"one", "two"} {
		if _, err := samples.Bootc(t.Context(), to, tag, samples.Build{Distro: tag, Architectures: []string{"arm64"}, Version: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	if w.catalog, err = catalog.Open("oci:"+dir, catalog.Options{Registry: w.client}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.catalog.Publish(t.Context(), "oci:"+dir+":one", catalog.PublishOptions{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	w.startReady(w.allowPublish)
	if a := w.ask("POST", "/v1/catalog/images/one/verify?wait=true", ""); a.status != 200 || strings.Contains(string(a.body), "failure") || !strings.Contains(string(a.body), `"what":"content","result":"ok"`) {
		t.Errorf("verified: %d %s", a.status, a.body)
	}
	if a := w.ask("POST", "/v1/catalog/images", `{"name":"two","registryUrl":"oci:`+dir+`/../`+filepath.Base(dir)+`:two"}`, bearer); a.status != 201 {
		t.Errorf("added: %d %s", a.status, a.body)
	}
}

// With patterns, what is outside of them is asked for nothing, and who asks for
// it is told which flag keeps it out.
func TestServerOpensAllowedRegistries(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	outside := newWorld(t)
	image := outside.push("os/b", "1")
	pushed := outside.writes.Load()
	requests := make(chan string, 1000)
	outside.refusing(func(_ http.ResponseWriter, r *http.Request) bool { requests <- r.URL.Path; return false })
	w.append(planted("b", image))
	w.startReady(func(o *server.Options) {
		w.allowPublish(o)
		o.Allow = []string{w.host + "/os/*"}
	})
	for _, request := range []struct {
		path, body string
		status     int
	}{
		{"/v1/catalog/publish", `{"image":"` + image + `"}`, 403},
		{"/v1/catalog/publish", `{"image":"` + w.host + `/os/a:1","name":"new","disk":"` + image + `"}`, 403},
		{"/v1/catalog/publish", `{"imageBuildName":"build-b"}`, 403},
		{"/v1/catalog/images", `{"name":"new","registryUrl":"` + image + `"}`, 403},
		{"/v1/catalog/images", `{"name":"new","registryUrl":"` + w.host + `/else/a:1"}`, 403},
		{"/v1/catalog/images/b/verify", "", 200},
		{"/v1/catalog/images/b/verify?wait=true", "", 200},
	} {
		a := w.ask("POST", request.path, request.body, bearer)
		if a.status != request.status || !strings.Contains(string(a.body), "--allow-registry") || strings.Contains(string(a.body), `"triggered":true`) {
			t.Errorf("%s %s: %d %s, want %d and the flag", request.path, request.body, a.status, a.body, request.status)
		}
	}
	if a := w.ask("POST", "/v1/catalog/images/a/verify", ""); !strings.Contains(string(a.body), `"triggered":true`) {
		t.Errorf("what is allowed is not probed: %s", a.body)
	}
	if item := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/b", "")); item.Phase != entry.PhaseAvailable || item.StatusReason != "" {
		t.Errorf("b is %s %s, want it as it was published", item.Phase, item.StatusReason)
	}
	if len(requests) > 0 || outside.writes.Load() != pushed {
		t.Errorf("the registry that is not allowed was asked for %s", <-requests)
	}
	var wrong *registry.Error
	if _, err := server.New(server.Options{Catalogs: []*catalog.Catalog{w.catalog}, Allow: []string{"https://x"}}); !errors.As(err, &wrong) || wrong.Option != "Allow" || !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a malformed pattern: error %v, want one that names the option", err)
	}
}

// Probes that nobody asks for go to what is allowed, and to nothing else.
func TestServerProbesWhatItMayOpen(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.append(planted("b", "oci:"+t.TempDir()+":x"), planted("c", "other.example.com/os/c:1"))
	probed := make(chan string)
	w.probing(func(ctx context.Context, item *entry.Item) error {
		select {
		case probed <- item.Name:
		case <-ctx.Done():
		}
		return nil
	})
	w.startReady(func(o *server.Options) { o.Allow, o.Interval = []string{w.host}, 10*time.Millisecond })
	for range 20 {
		select {
		case name := <-probed:
			if name != "a" {
				t.Fatalf("%s is probed", name)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is probed within 10 s")
		}
	}
}
