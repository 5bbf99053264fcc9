package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/server"
)

var update = flag.Bool("update", false, "write the golden files anew")

// append writes documents as they are: with times and images of their own.
func (w *world) append(documents ...*revision.Document) {
	w.t.Helper()
	repository, err := w.client.Open(parse(w.t, w.catalog.Reference()))
	if err != nil {
		w.t.Fatal(err)
	}
	log := ocilog.New(repository, w.catalog.Reference(), ocilog.Options{})
	for _, document := range documents {
		packed, err := revision.Pack(document, revision.Seen{})
		if err == nil {
			err = log.Append(w.t.Context(), packed, nil)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// saysAll is an entry that has every member there is; saysLittle has only those
// that must be.
func saysAll() *revision.Document {
	built := entry.NewTime(time.Date(2026, 2, 28, 9, 0, 0, 0, time.UTC))
	return &revision.Document{
		Name: "autosd", Version: "10.1", Description: "AutoSD for two boards",
		Image: revision.Image{Reference: "registry.example.com/os/autosd:10.1", Digest: digest.FromString("autosd"), MediaType: ocispec.MediaTypeImageIndex, Size: 700},
		Tags:  []string{"nightly", "stable"},
		Metadata: entry.Metadata{
			OS: "linux", Distro: "autosd", DistroVersion: "10", KernelVersion: "6.12.0", Bootc: true, BuildMode: "bootc", ExportFormat: "qcow2",
			Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "boots from an SD card"}, {Name: "qemu"}},
		},
		Registry: revision.Observed{
			CreatedAt: &built, SizeBytes: 3_000_000, LayerCount: 5,
			Platforms: []entry.Platform{
				{Architecture: "arm64", OS: "linux", Variant: "v8", Digest: digest.FromString("arm64"), SizeBytes: 1_600_000, LayerCount: 3},
				{Architecture: "amd64", OS: "linux", Digest: digest.FromString("amd64"), SizeBytes: 1_400_000, LayerCount: 2},
			},
		},
		Artifacts: []revision.Artifact{{
			Type: "application/vnd.diskimage.qcow2", Reference: "registry.example.com/os/autosd-disk@" + digest.FromString("disk").String(),
			Digest: digest.FromString("disk"), SizeBytes: 900_000, Format: "qcow2", Title: "disk.qcow2.gz", Compression: "gzip", DecompressedSize: 2_000_000,
		}},
		Source:      entry.Source{Type: entry.SourceScheduled, ImageBuild: "autosd-nightly-1", Schedule: "autosd-nightly"},
		Labels:      map[string]string{"team": "os"},
		Mismatches:  []revision.Mismatch{{Field: "distro", Image: "autosd", Publisher: "fedora"}},
		PublishedAt: entry.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), PublishedBy: "ci",
		Build: entry.Build{System: "gitlab-ci", URL: "https://gitlab.example.com/os/autosd/-/jobs/77", Commit: "ce9a3c1404e8c91be604088670e93434c4253f03", Ref: "main"},
	}
}

func saysLittle() *revision.Document {
	return &revision.Document{
		Name:        "small",
		Image:       revision.Image{Reference: "registry.example.com/os/small:1", Digest: digest.FromString("small"), MediaType: ocispec.MediaTypeImageManifest, Size: 500},
		Source:      entry.Source{Type: entry.SourceManual},
		PublishedAt: entry.NewTime(time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)),
	}
}

// shownHeaders are those that clients rely on.
var shownHeaders = []string{"Allow", "Content-Type", "Location", "Retry-After", "Www-Authenticate"}

// golden holds an answer against the file of its name, times and digests of the
// moment left out.
func (w *world) golden(name string, a answer) {
	w.t.Helper()
	var text strings.Builder
	fmt.Fprintln(&text, a.status)
	for _, header := range shownHeaders {
		if value := a.header.Get(header); value != "" {
			fmt.Fprintf(&text, "%s: %s\n", header, value)
		}
	}
	body := bytes.Buffer{}
	if json.Indent(&body, a.body, "", "  ") != nil {
		body.Write(a.body)
	}
	text.WriteString("\n" + strings.TrimSpace(body.String()) + "\n")
	got := strings.ReplaceAll(text.String(), w.host, "registry.example.com")
	for _, volatile := range []struct{ pattern, instead string }{
		{`sha256:[0-9a-f]{64}`, `<digest>`},
		{`"20[0-9]{2}-[0-9T:.-]+Z"`, `"<time>"`},
		{`("ageSeconds": )[0-9.e-]+`, `${1}<seconds>`},
		{`^(429\n(?:.*\n)*Retry-After: )[12]\b`, `${1}<seconds>`},
		{`(ask again in )[12]\b`, `${1}<seconds>`},
		{`"([a-z-]+)\.[0-9a-z]{9}\.p[0-9a-f]{16}"`, `"<tag of $1>"`},
	} {
		if w.volatile || volatile.instead == `${1}<seconds>` {
			got = regexp.MustCompile(volatile.pattern).ReplaceAllString(got, volatile.instead)
		}
	}
	path := filepath.Join("testdata", "golden", name+".http")
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Every reading route answers to the letter what the contract says. All values
// are those of the documents: nothing is left out.
func TestReadingRoutesToTheLetter(t *testing.T) {
	w := newWorld(t)
	w.append(saysAll(), saysLittle())
	w.startReady(func(o *server.Options) { o.Interval, o.Refresh = 0, time.Hour }) // not stale before the end, however busy the machine is
	for name, path := range map[string]string{
		"list":              "/v1/catalog/images",
		"list-all":          "/v1/catalog/images?phase=all&latest=false&sort=name",
		"list-filtered":     "/v1/catalog/images?architecture=arm64&distro=autosd&target=rpi4&tags=nightly,stable&label=team=os&phase=Available",
		"list-none":         "/v1/catalog/images?target=none",
		"list-past":         "/v1/catalog/images?as-of=2026-03-01T11:30:00Z",
		"list-page":         "/v1/catalog/images?limit=1&sort=size",
		"get":               "/v1/catalog/images/autosd",
		"get-little":        "/v1/catalog/images/small",
		"get-version":       "/v1/catalog/images/autosd?version=10.1",
		"get-none":          "/v1/catalog/images/none",
		"get-bad-name":      "/v1/catalog/images/NO",
		"history":           "/v1/catalog/history",
		"history-name":      "/v1/catalog/images/small/history",
		"bad-limit":         "/v1/catalog/images?limit=1001",
		"bad-parameter":     "/v1/catalog/images?color=red",
		"bad-token":         "/v1/catalog/images?continue=x",
		"no-route":          "/v1/catalog/nothing",
		"bad-path":          "/v1/catalog/images/a%2fb",
		"healthz":           "/healthz",
		"readyz":            "/readyz",
		"namespace-list":    "/v1/catalog/images?namespace=builds&limit=1&phase=all",
		"namespace-none":    "/v1/catalog/images?target=none&namespace=",
		"namespace-get":     "/v1/catalog/images/small?namespace=builds",
		"namespace-history": "/v1/catalog/images/small/history?namespace=builds",
		"list-two-limits":   "/v1/catalog/images?limit=1&limit=2",
	} {
		w.golden(name, w.ask("GET", path, ""))
	}
	w.golden("other-method", w.ask("PUT", "/v1/catalog/images", ""))
	w.golden("verify-without-probes", w.ask("POST", "/v1/catalog/images/small/verify", ""))
	w.golden("read-only", w.ask("POST", "/v1/catalog/images", `{"name":"a","registryUrl":"registry.example.com/os/a:1"}`))
	w.golden("read-only-publish", w.ask("POST", "/v1/catalog/publish", `{"image":"registry.example.com/os/a:1"}`))
	w.golden("read-only-delete", w.ask("DELETE", "/v1/catalog/images/small", ""))
}

// Every writing route answers to the letter what the contract says.
func TestWritingRoutesToTheLetter(t *testing.T) {
	w := newWorld(t)
	w.volatile = true
	image, other := w.push("os/rpi4", "1"), w.push("os/qemu", "1")
	w.probing(func(context.Context, *entry.Item) error { return nil })
	w.startReady(w.allowPublish)
	token := "Authorization: Bearer " + secret
	create := fmt.Sprintf(`{"name":"board","registryUrl":%q,"tags":["nightly"],"architecture":"arm64","distro":"autosd","distroVersion":"10","targets":[{"name":"rpi4","verified":true,"notes":"boots"}],"bootc":true}`, image)
	for _, step := range []struct{ name, method, path, body string }{
		{"create", "POST", "/v1/catalog/images", create},
		{"create-again", "POST", "/v1/catalog/images", create},
		{"create-pinned-otherwise", "POST", "/v1/catalog/images", fmt.Sprintf(`{"name":"pinned","registryUrl":%q,"digest":%q}`, other, digest.FromString("another"))},
		{"create-bad-body", "POST", "/v1/catalog/images", `{"name":"x","color":"red"}`},
		{"create-wrong-kind", "POST", "/v1/catalog/images", `{"name":"x","tags":{"a":1}}`},
		{"create-no-json", "POST", "/v1/catalog/images", `{"name":"x",`},
		{"create-twice", "POST", "/v1/catalog/images", `{"name":"x","name":"y"}`},
		{"create-no-image", "POST", "/v1/catalog/images", fmt.Sprintf(`{"name":"x","registryUrl":%q}`, w.host+"/os/none:1")},
		{"publish", "POST", "/v1/catalog/publish", fmt.Sprintf(`{"image":%q,"name":"second","tags":["stable"],"source":{"type":"ImageBuild","imageBuild":"build-1"}}`, other)},
		{"publish-secret", "POST", "/v1/catalog/publish?namespace=builds", fmt.Sprintf(`{"image":%q,"name":"second","authSecretName":"pull","distro":"fedora","bootc":true,"dryRun":true}`, other)},
		{"publish-build", "POST", "/v1/catalog/publish", `{"imageBuildName":"build-1","catalogImageName":"third"}`},
		{"publish-unknown-build", "POST", "/v1/catalog/publish", `{"imageBuildName":"none"}`},
		{"publish-build-name", "POST", "/v1/catalog/publish", `{"imageBuildName":"build-1","name":"third"}`},
		{"publish-image-name", "POST", "/v1/catalog/publish", fmt.Sprintf(`{"image":%q,"catalogImageName":"third"}`, other)},
		{"publish-neither", "POST", "/v1/catalog/publish", `{}`},
		{"verify", "POST", "/v1/catalog/images/board/verify", ""},
		{"verify-at-once-again", "POST", "/v1/catalog/images/board/verify", ""},
		{"namespace-verify", "POST", "/v1/catalog/images/third/verify?namespace=builds", ""},
		{"verify-none", "POST", "/v1/catalog/images/none/verify", ""},
		{"delete", "DELETE", "/v1/catalog/images/board?reason=old", ""},
		{"delete-again", "DELETE", "/v1/catalog/images/board", ""},
	} {
		got := w.ask(step.method, step.path, step.body, token)
		if step.name == "verify-at-once-again" {
			w.until("a second probe to be refused", func() bool {
				got = w.ask(step.method, step.path, step.body, token)
				return got.status == 429
			})
		}
		w.golden(step.name, got)
	}
	w.golden("no-token", w.ask("POST", "/v1/catalog/images", create))
	w.golden("another-token", w.ask("POST", "/v1/catalog/images", create, "Authorization: Bearer 0123456789-0123456789"))
}

func TestNotReadyToTheLetter(t *testing.T) {
	w := newWorld(t)
	w.refusing(away)
	w.start(nil)
	w.until("a read to fail", func() bool { return strings.Contains(w.log.String(), "could not be read") })
	w.golden("readyz-not-ready", w.ask("GET", "/readyz", ""))
	w.golden("list-not-ready", w.ask("GET", "/v1/catalog/images", ""))
}

// metricFamilies are those that dashboards rely on.
var metricFamilies = strings.Fields(`caib_images caib_probe_duration_seconds caib_breaker_state caib_publishes_total
 caib_http_requests_total caib_http_request_duration_seconds caib_index_age_seconds caib_entries caib_refresh_failures_total
 caib_list_cache_hits_total caib_build_info`)

func TestMetricFamilies(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	image := w.push("os/a", "1")
	w.ask("POST", "/v1/catalog/publish", fmt.Sprintf(`{"image":%q}`, image), "Authorization: Bearer "+secret)
	w.ask("POST", "/v1/catalog/images/a/verify", "")
	w.until("probed", func() bool {
		return strings.Contains(string(w.ask("GET", "/metrics", "").body), "caib_probe_duration_seconds_count")
	})
	text := string(w.ask("GET", "/metrics", "").body)
	for _, family := range metricFamilies {
		if !strings.Contains(text, "# TYPE "+family+" ") {
			t.Errorf("there is no %s", family)
		}
	}
}

// A client of the Build API reads what it knows, and relies on createdAt and
// downloadUrl.
func TestBuildAPIClient(t *testing.T) {
	w := newWorld(t)
	w.append(saysAll(), saysLittle())
	w.startReady(func(o *server.Options) { o.Interval = 0 })
	type target struct {
		Name     string
		Verified bool
		Notes    string
	}
	type client struct {
		Name, RegistryURL, Digest, Phase, Architecture, Distro, DistroVersion, SourceImageBuild, SourceType, ScheduleName, BuildMode, ExportFormat, DownloadURL string
		Tags                                                                                                                                                    []string
		Targets                                                                                                                                                 []target
		Bootc, IsMultiArch                                                                                                                                      bool
		SizeBytes                                                                                                                                               int64
		LayerCount                                                                                                                                              int
		CreatedAt, PublishedAt, LastVerified                                                                                                                    time.Time
	}
	list := decode[struct{ Items []client }](t, w.ask("GET", "/v1/catalog/images", ""))
	at := slices.IndexFunc(list.Items, func(c client) bool { return c.Name == "autosd" })
	if at != 0 || len(list.Items) != 2 {
		t.Fatalf("%+v", list)
	}
	published := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := client{
		Name: "autosd", RegistryURL: "registry.example.com/os/autosd:10.1", Digest: digest.FromString("autosd").String(), Phase: "Available",
		Distro: "autosd", DistroVersion: "10", SourceImageBuild: "autosd-nightly-1", SourceType: "Scheduled", ScheduleName: "autosd-nightly",
		BuildMode: "bootc", ExportFormat: "qcow2", DownloadURL: "registry.example.com/os/autosd-disk@" + digest.FromString("disk").String(),
		Tags: []string{"nightly", "stable"}, Targets: []target{{"rpi4", true, "boots from an SD card"}, {Name: "qemu"}}, Bootc: true, IsMultiArch: true,
		SizeBytes: 3_000_000, LayerCount: 5, CreatedAt: published, PublishedAt: published, LastVerified: published,
	}
	if diff := cmp.Diff(want, list.Items[0]); diff != "" {
		t.Error(diff)
	}
	if small := list.Items[1]; small.CreatedAt.IsZero() || small.DownloadURL != entry.Pinned(small.RegistryURL, digest.Digest(small.Digest)) {
		t.Errorf("%+v", small)
	}
}
