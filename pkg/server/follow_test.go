package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/server"
)

func away(w http.ResponseWriter, _ *http.Request) bool {
	http.Error(w, `{"errors":[{"code":"UNAVAILABLE"}]}`, http.StatusServiceUnavailable)
	return true
}

func throttling(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Retry-After", "1")
	http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`, http.StatusTooManyRequests)
	return true
}

// wiped is a registry whose repository is empty: lists and everything else.
func wiped(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/tags/list") {
		_, _ = io.WriteString(w, `{"name":"team/catalog","tags":[]}`)
		return true
	}
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}`)
	return true
}

func TestFollowsTheLog(t *testing.T) {
	w := newWorld(t)
	w.startReady(nil)
	if got := w.list(""); got.Total != 0 {
		t.Errorf("an empty catalog has %d", got.Total)
	}
	w.publish("a")
	w.until("published", func() bool { return w.list("").Total == 1 })
	if _, err := w.catalog.Remove(t.Context(), "a", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("removed", func() bool { return w.list("").Total == 0 })
}

// A registry that is away leaves the last good state, marked stale, and the
// server is current again within a refresh.
func TestRegistryAwayLeavesTheLastState(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{"away": away, "throttling": throttling} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a")
			w.startReady(nil)
			w.refusing(fault)
			w.until("stale", func() bool { return w.ready().Stale })
			a := w.ask("GET", "/v1/catalog/images", "")
			if decode[page](t, a).Total != 1 || a.header.Get("X-Caib-Stale") != "true" || !w.ready().Ready {
				t.Errorf("while it is away: %d %s %v", a.status, a.body, a.header)
			}
			w.refusing(nil)
			w.until("current", func() bool { return !w.ready().Stale })
			w.until("marked stale no more", func() bool { return w.ask("GET", "/v1/catalog/images", "").header.Get("X-Caib-Stale") == "" })
		})
	}
}

// An empty answer where there were entries is not believed at once; one that
// stays is.
func TestEmptyAnswerNeedsASecondLook(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	w.startReady(nil)
	var lists atomic.Int64
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/tags/list") && lists.Add(1) > 1 {
			return false // it comes back before the second read
		}
		return lists.Load() <= 1 && wiped(answer, r)
	})
	w.until("read again", func() bool { return lists.Load() >= 3 })
	w.until("current", func() bool { return !w.ready().Stale })
	if got := w.list("").Total; got != 2 {
		t.Errorf("%d entries after one empty answer, want 2", got)
	}
	if strings.Count(w.log.String(), "turned up empty") != 1 {
		t.Errorf("the log does not tell:\n%s", w.log.String())
	}
	w.refusing(wiped)
	w.until("believed", func() bool { return w.list("").Total == 0 })
}

// A tag list that is cut short hides nothing.
func TestCutTagListHidesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	var lists atomic.Int64
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		lists.Add(1)
		answer.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(answer, `{"name":"team/catalog","tags":[]}`)
		return true
	})
	w.until("listed twice", func() bool { return lists.Load() >= 3 })
	if got := w.list("").Total; got != 3 {
		t.Errorf("%d entries, want 3", got)
	}
}

// At start the cache is served at once, marked stale; without a registry too.
func TestStartsFromTheCache(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	w.startReady(nil)
	w.stop()
	w.refusing(away)
	w.catalog = w.open("team/catalog")
	w.start(nil)
	w.until("ready", func() bool { return w.ready().Ready })
	a := w.ask("GET", "/v1/catalog/images", "")
	if decode[page](t, a).Total != 2 || a.header.Get("X-Caib-Stale") != "true" || !w.ready().Stale {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.refusing(nil)
	w.until("current", func() bool { return !w.ready().Stale })
}

// A cache that cannot be written is no reason to fail.
func TestCacheThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	if err := os.RemoveAll(w.cache); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.cache, []byte("a file where the directory should be"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.catalog = w.open("team/catalog")
	w.startReady(nil)
	w.publish("b")
	w.until("published", func() bool { return w.list("").Total == 2 })
}

func TestNotReadyBeforeTheFirstLook(t *testing.T) {
	w := newWorld(t)
	w.refusing(away)
	w.start(nil)
	if a := w.ask("GET", "/readyz", ""); a.status != 503 {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
	if a := w.ask("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	if a := w.ask("GET", "/v1/catalog/images", ""); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("list: %d", a.status)
	}
}

// Several catalogs are one list; each item says where it is from.
func TestSeveralCatalogs(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "both")
	first := w.catalog
	second := w.open("other/catalog")
	w.catalog = second
	w.publish("b", "both")
	w.startReady(func(o *server.Options) { o.Catalogs = []*catalog.Catalog{first, second} })
	got := w.list("?sort=name")
	if names(got) != "[a b both both]" || got.Items[0].Catalog != first.Reference() || got.Items[1].Catalog != second.Reference() {
		t.Errorf("%+v", got)
	}
	if item := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/both", "")); item.Catalog != first.Reference() {
		t.Errorf("of two, %s answers", item.Catalog)
	}
	if a := w.ask("GET", "/v1/catalog/images/b", ""); a.status != 200 {
		t.Errorf("an entry of the second catalog: %d", a.status)
	}
	for catalog, want := range map[string]int{first.Reference(): 200, second.Reference(): 200, "registry.example.com/none": 404} {
		if a := w.ask("POST", "/v1/catalog/images/both/verify?wait=true&catalog="+url.QueryEscape(catalog), ""); a.status != want {
			t.Errorf("verify in %s: %d %s", catalog, a.status, a.body)
		}
	}
	if a := w.ask("POST", "/v1/catalog/images/b/verify?catalog="+url.QueryEscape(first.Reference()), ""); a.status != 404 {
		t.Errorf("verify where it is not: %d", a.status)
	}
}

// A deleted image becomes Failed when it is verified, leaves the default list,
// and comes back with the image.
func TestVerifyFindsWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	var gone atomic.Bool
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		return gone.Load() && strings.Contains(r.URL.Path, "/os/a/") && wiped(answer, r)
	})
	w.startReady(nil)
	gone.Store(true)
	a := w.ask("POST", "/v1/catalog/images/a/verify", "")
	if a.status != 200 || !strings.Contains(string(a.body), `"triggered":true`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.until("a probe to be refused that is asked for at once again", func() bool {
		a := w.ask("POST", "/v1/catalog/images/a/verify", "")
		return a.status == 429 && a.header.Get("Retry-After") != ""
	})
	w.until("failed", func() bool { return w.list("?phase=failed").Total == 1 })
	item := w.list("?phase=all").Items[0]
	if same := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/a?version=1", "")); same.Phase != entry.PhaseFailed || same.Revision != item.Revision {
		t.Errorf("by its version: %+v", same)
	}
	if item.StatusReason != health.ReasonManifestUnknown || item.StatusMessage == "" || w.list("").Total != 0 {
		t.Errorf("%+v", item)
	}
	if a := w.ask("POST", "/v1/catalog/images/none/verify", ""); a.status != 404 {
		t.Errorf("verify of nothing: %d", a.status)
	}
	line := "id=" + a.header.Get("X-Request-Id") + " action=verify by=anyone name=a digest=" + item.Digest.String()
	if text := w.log.String(); !strings.Contains(text, line+` outcome="Failed: ManifestUnknown`) {
		t.Errorf("no audit line with the outcome: %s", text)
	}
	gone.Store(false)
	w.until("let through", func() bool { return w.ask("POST", "/v1/catalog/images/a/verify", "").status == 200 })
	w.until("available", func() bool { return w.list("").Total == 1 })
	w.until("written down", func() bool {
		return strings.Contains(w.log.String(), "name=a digest="+item.Digest.String()+" outcome=done")
	})
}

// Statuses are recorded at the end, and found again at the next start.
func TestStatusesSurviveARestart(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	store := func(o *server.Options) { o.RecordStatuses = true }
	w.startReady(store)
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/os/a/") && wiped(answer, r)
	})
	for range 3 {
		w.ask("GET", "/v1/catalog/images/a", "")
	}
	if a := w.ask("POST", "/v1/catalog/images/a/verify", ""); a.status != http.StatusOK {
		t.Errorf("verify once the catalog was read: %d %s", a.status, a.body)
	}
	w.until("failed", func() bool { return w.list("?phase=failed").Total == 1 })
	w.stop()
	w.cache = t.TempDir()
	w.catalog = w.open("team/catalog")
	w.startReady(store)
	if got := w.list("?phase=all").Items[0]; got.Phase != entry.PhaseFailed || got.AccessCount != 3 {
		t.Errorf("after a restart: %s, %d accesses", got.Phase, got.AccessCount)
	}
	plain, err := w.open("team/catalog").List(t.Context(), catalog.ListOptions{})
	if err != nil || plain.Items[0].Phase != entry.PhaseFailed {
		t.Errorf("without a server: %+v, %v", plain, err)
	}
}

// What probes found out is shown soon, however seldom the log is read.
func TestPhasesDoNotWaitForARefresh(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	var probes atomic.Int64
	w.probing(func(context.Context, *entry.Item) error {
		if probes.Add(1) > 10 {
			return entry.ErrNotFound
		}
		return nil
	})
	w.startReady(func(o *server.Options) { o.Refresh, o.Interval = time.Hour, 20*time.Millisecond })
	w.until("failed", func() bool { return w.list("?phase=failed").Total == 1 })
}

// Two servers give the same answers whatever one of them was asked: accesses are
// shown once they are recorded.
func TestAccessesMakeNoDifferenceBeforeTheyAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(func(o *server.Options) { o.Record = time.Millisecond })
	before := w.ask("GET", "/v1/catalog/images/a", "").header.Get("ETag")
	saved := errors.New("the store is away")
	var saves atomic.Int64
	w.between = func(c server.Source) server.Source { return failingStore{c, saved, &saves} }
	w.startReady(func(o *server.Options) { o.Record, o.RecordStatuses = time.Millisecond, true })
	for range 3 {
		w.ask("GET", "/v1/catalog/images/a", "")
	}
	count := saves.Load()
	w.until("saved in vain", func() bool { return saves.Load() > count+2 })
	w.publish("b") // another state
	w.until("shown", func() bool { return w.list("").Total == 2 })
	if after := w.ask("GET", "/v1/catalog/images/a", "").header.Get("ETag"); after != before {
		t.Errorf("ETag %s before anybody asked, %s then", before, after)
	}
}

type failingStore struct {
	server.Source
	err   error
	saves *atomic.Int64
}

func (s failingStore) SaveStatuses(_ context.Context, merge func(map[string]*entry.Status) []*entry.Status) error {
	merge(nil)
	s.saves.Add(1)
	return s.err
}

// While the breaker of a registry is open nothing is probed, and nobody says so.
func TestVerifyBehindAnOpenBreaker(t *testing.T) {
	w := newWorld(t)
	all := []string{"a", "b", "c", "d", "e", "f"}
	w.publish(all...)
	w.startReady(nil)
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/v2/os/") && away(answer, r)
	})
	for _, name := range all[:5] {
		w.ask("POST", "/v1/catalog/images/"+name+"/verify", "")
	}
	w.until("open", func() bool {
		return strings.Contains(string(w.ask("GET", "/metrics", "").body), `caib_breaker_state{registry="`+w.host+`"} 2`)
	})
	a := w.ask("POST", "/v1/catalog/images/f/verify", "")
	if a.status != 200 || !strings.Contains(string(a.body), `"triggered":false`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if strings.Contains(w.log.String(), "name=f ") {
		t.Errorf("the audit tells of what was not done:\n%s", w.log.String())
	}
}

// After the end nothing is probed any more, and asking for it does no harm.
func TestVerifyAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	s, err := server.New(server.Options{Catalogs: []*catalog.Catalog{w.catalog}, Interval: time.Hour, Refresh: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	testwait.Receive(t, "the server to have caught up", s.CaughtUp())
	cancel()
	testwait.Receive(t, "the server to end", done)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest("POST", "/v1/catalog/images/a/verify", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	if _, err := server.New(server.Options{}); err == nil {
		t.Error("no catalog is served")
	}
	if _, err := server.OpenTokens(t.TempDir() + "/none"); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("a token file that is not there: %v", err)
	}
}

// A registry that answers without most of a catalog is no reason to show less:
// the last state stays, marked stale at once, until the registry has it again.
func TestMuchThatIsMissingLeavesTheLastState(t *testing.T) {
	w := newWorld(t)
	names := []string{"a", "b", "c", "d", "e", "f"}
	w.publish(names...)
	w.startReady(nil)
	hidden := func(path string) bool {
		return strings.Contains(path, "/team/catalog/") && !strings.Contains(path, "/manifests/a.")
	}
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		if !hidden(r.URL.Path) {
			return false
		}
		answer.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			_, _ = io.WriteString(answer, `{"name":"team/catalog","tags":["latest"]}`)
			return true
		}
		answer.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(answer, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
		return true
	})
	w.until("stale", func() bool { return w.ready().Stale })
	a := w.ask("GET", "/v1/catalog/images", "")
	if total := decode[page](t, a).Total; total != len(names) || a.header.Get("X-Caib-Stale") == "" {
		t.Errorf("%d entries, want %d; marked stale %q", total, len(names), a.header.Get("X-Caib-Stale"))
	}
	w.refusing(nil)
	// A read that was under way may have found some of them missing, which is few
	// enough to be shown.
	w.until("current again, and whole", func() bool { return !w.ready().Stale && w.list("").Total == len(names) })
}
