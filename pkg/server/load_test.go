package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/server"
)

// fill writes entries whose images do not exist.
func (w *world) fill(count int) {
	w.t.Helper()
	repository, err := w.client.Open(parse(w.t, w.catalog.Reference()))
	if err != nil {
		w.t.Fatal(err)
	}
	log := ocilog.New(repository, w.catalog.Reference(), ocilog.Options{})
	at := time.Now().Add(-24 * time.Hour)
	group := errgroup.Group{}
	group.SetLimit(16)
	for i := range count {
		group.Go(func() error {
			packed, err := revision.Pack(&revision.Document{
				Name: fmt.Sprintf("image-%05d", i), Version: "1", Source: entry.Source{Type: entry.SourceManual},
				Image:       revision.Image{Reference: fmt.Sprintf("registry.example.com/os/image:%d", i), Digest: digest.FromString(fmt.Sprint(i)), MediaType: ocispec.MediaTypeImageManifest, Size: 500},
				Metadata:    entry.Metadata{Architecture: "arm64", Distro: "autosd", Targets: []entry.Target{{Name: []string{"qemu", "rpi4"}[i%2]}}},
				PublishedAt: entry.NewTime(at.Add(time.Duration(i) * time.Second)),
			}, revision.Seen{})
			if err != nil {
				return err
			}
			return log.Append(w.t.Context(), packed, nil)
		})
	}
	if err := group.Wait(); err != nil {
		w.t.Fatal(err)
	}
	view, err := log.Read(w.t.Context())
	if err == nil {
		_, err = log.Compact(w.t.Context(), view)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func openFiles(t testing.TB) int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell the open files")
	}
	return len(files)
}

// diskFull makes the disk full until it is told to end, on systems where a test
// can.
var diskFull = func(testing.TB) (end func()) { return func() {} }

// loadEntries are the entries of the catalog that is under load.
const loadEntries = 400

// A thousand connections while the registry fails in every way, the disk under
// the cache is full, and the clocks of publishers jump: no wrong answer, no
// error, and afterwards nothing is left behind.
func TestLoadWithFaults(t *testing.T) {
	if !ownProcess(t) {
		return
	}
	const connections, rounds = 1000, 10
	w := newWorld(t)
	w.fill(loadEntries)
	w.startReady(func(o *server.Options) { o.Interval, o.Logger = 0, nil })
	republish := republisher(t, w)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	client := &http.Client{Transport: transport, Timeout: testwait.Limit}
	tags := w.tags()
	repaired := func() {}
	for i := range rounds {
		switch i {
		case 2:
			repaired = diskFull(t)
		case 8:
			repaired()
		}
		reads := w.readsAnswered([]func(http.ResponseWriter, *http.Request) bool{away, nil, throttling, nil, listing(nil), nil, listing(tags[len(tags)/2:]), nil}[i%8])
		if i%2 == 1 { // what is published is to be cached
			republish(time.Now().Add([]time.Duration{0, 365 * 24 * time.Hour, -365 * 24 * time.Hour}[i/2%3]))
		}
		problems := make([]string, connections)
		var clients sync.WaitGroup
		for n := range connections {
			clients.Go(func() { problems[n] = askOne(client, w.url, n+i) })
		}
		testwait.Return(t, fmt.Sprintf("an answer on each connection, round %d", i), clients.Wait)
		if wrong := slices.DeleteFunc(problems, func(problem string) bool { return problem == "" }); len(wrong) > 0 {
			t.Fatalf("round %d: %d wrong answers, such as %s", i, len(wrong), wrong[0])
		}
		w.until(fmt.Sprintf("a whole read of the log, round %d", i), func() bool { return reads.Load() >= 2 })
	}
	w.refusing(nil)
	transport.CloseIdleConnections()
	w.until("current", func() bool { return !w.ready().Stale })
	forwarding.CloseIdleConnections()
	w.until("as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	w.until("as few files as before", func() bool { return openFiles(t) <= files+10 })
}

// republisher returns what publishes an entry anew, as it is, by somebody's clock.
func republisher(t *testing.T, w *world) func(at time.Time) {
	item, err := w.catalog.Get(t.Context(), "image-00007", catalog.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func(at time.Time) {
		w.append(&revision.Document{
			Name: item.Name, Version: item.Version, Source: entry.Source{Type: entry.SourceManual}, PublishedAt: entry.NewTime(at),
			Image:    revision.Image{Reference: item.RegistryURL, Digest: digest.Digest(item.Digest), MediaType: ocispec.MediaTypeImageManifest, Size: 500},
			Metadata: entry.Metadata{Architecture: item.Architecture, Distro: item.Distro, Targets: item.Targets},
		})
	}
}

// tags returns the tags of the catalog.
func (w *world) tags() []string {
	w.t.Helper()
	repository, err := w.client.Open(parse(w.t, w.catalog.Reference()))
	if err != nil {
		w.t.Fatal(err)
	}
	tags, err := repository.Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return tags
}

// readsAnswered makes the registry answer as refusing does, and counts how often its
// tags are listed from now on.
func (w *world) readsAnswered(refuse func(http.ResponseWriter, *http.Request) bool) *atomic.Int64 {
	var count atomic.Int64
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			count.Add(1)
		}
		return refuse != nil && refuse(answer, r)
	})
	return &count
}

// listing is a registry that lists certain tags, whatever there are.
func listing(tags []string) func(http.ResponseWriter, *http.Request) bool {
	text, _ := json.Marshal(map[string]any{"name": "team/catalog", "tags": append([]string{}, tags...)}) // plain data
	return func(answer http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		answer.Header().Set("Content-Type", "application/json")
		_, _ = answer.Write(text)
		return true
	}
}

// askOne asks for one of three things, and returns what is wrong with the
// answer.
func askOne(client *http.Client, url string, i int) string {
	paths := []string{"/v1/catalog/images?latest=false", "/v1/catalog/images?target=rpi4&latest=false&limit=5", fmt.Sprintf("/v1/catalog/images/image-%05d", i%loadEntries)}
	path := paths[i%3]
	response, err := client.Get(url + path)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		return fmt.Sprintf("%s: %d %v %.200s", path, response.StatusCode, err, text)
	}
	var body struct {
		Total int
		Items []json.RawMessage
		Name  string
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return path + ": " + err.Error()
	}
	want := []struct {
		total, items int
		name         string
	}{{loadEntries, 20, ""}, {loadEntries / 2, 5, ""}, {0, 0, fmt.Sprintf("image-%05d", i%loadEntries)}}[i%3]
	if body.Total != want.total || len(body.Items) != want.items || body.Name != want.name {
		return fmt.Sprintf("%s: %d of %d, name %q", path, len(body.Items), body.Total, body.Name)
	}
	return ""
}

// silent is a listener that only looks for what it is told.
type silent struct {
	header http.Header
	told   chan struct{}
	once   sync.Once
}

func (l *silent) Header() http.Header              { return l.header }
func (l *silent) WriteHeader(int)                  {}
func (l *silent) Flush()                           {}
func (l *silent) SetWriteDeadline(time.Time) error { return nil }
func (l *silent) Write(p []byte) (int, error) {
	if strings.Contains(string(p), `"name":"a"`) {
		l.once.Do(func() { close(l.told) })
	}
	return len(p), nil
}

// Ten thousand listeners cost a bounded amount each, are told all the same, and
// end with the server.
func TestManyListeners(t *testing.T) {
	const listeners = 10_000
	w := newWorld(t)
	w.startReady(func(o *server.Options) { o.Listeners, o.ListenersPerAddress, o.Logger = listeners, listeners, nil })
	goroutines, before := runtime.NumGoroutine(), inUse()
	var all []*silent
	var listening sync.WaitGroup
	for range listeners {
		l := &silent{header: http.Header{}, told: make(chan struct{})}
		all = append(all, l)
		listening.Go(func() {
			w.server.ServeHTTP(l, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/catalog/events", nil))
		})
	}
	metric := fmt.Sprintf("caib_event_listeners %d", listeners)
	w.until("listening", func() bool { return strings.Contains(string(w.ask("GET", "/metrics", "").body), metric) })
	if a := w.ask("GET", "/v1/catalog/events", ""); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", a.status)
	}
	w.publish("a")
	testwait.Return(t, "all listeners to be told", func() {
		for _, l := range all {
			<-l.told
		}
	})
	if each := (inUse() - before) / listeners; each > 32<<10 {
		t.Errorf("%d bytes for each listener", each)
	}
	w.stop()
	testwait.Return(t, "all listeners to end", listening.Wait)
	forwarding.CloseIdleConnections()
	w.until("as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// inUse is the memory that heap and stacks use after a collection, in bytes.
func inUse() int64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapInuse + memory.StackInuse)
}
