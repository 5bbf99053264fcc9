package catalog_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// laggard is a registry that lags and hides once a switch is set.
type laggard struct {
	mu     sync.Mutex
	faults *lag            // nil passes all through
	old    map[string]bool // tags of the catalog that were written before
	asked  map[string]int  // how often something was hidden, by path
}

// lag is what a laggard hides.
type lag struct {
	list      func(tag string, isOld bool) bool // tags of the catalog that its list leaves out
	manifest  func(tag string, isOld bool) bool // tags of any repository that are a 404
	referrers bool                              // lists of referrers are empty
	times     int                               // how often each is hidden; 0 is always
	alternate bool                              // every second list only: two replicas
	blind     bool                              // nothing is left that tells a reader who knows nothing
}

// set makes the registry lag from now on; nil ends it.
func (l *laggard) set(faults *lag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults, l.asked = faults, map[string]int{}
}

func (l *laggard) wrap(next http.Handler) http.Handler {
	l.old, l.asked = map[string]bool{}, map[string]int{}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		faults := l.faults
		_, reference, isManifest := strings.Cut(r.URL.Path, "/manifests/")
		if isManifest && r.Method == http.MethodPut && faults == nil {
			l.old[reference] = true
		}
		isOld := l.old[reference]
		l.mu.Unlock()
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case faults == nil || !reads:
			next.ServeHTTP(rw, r)
		case isManifest && faults.manifest != nil && !strings.Contains(reference, ":") && faults.manifest(reference, isOld) && l.hides(r.URL.Path, faults):
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(rw, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
		case faults.referrers && strings.Contains(r.URL.Path, "/referrers/") && l.hides(r.URL.Path, faults):
			rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = io.WriteString(rw, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
		case faults.list != nil && strings.HasSuffix(r.URL.Path, "/team/catalog/tags/list"):
			l.list(rw, r, next, faults)
		default:
			next.ServeHTTP(rw, r)
		}
	})
}

// hides reports whether something is hidden this time.
func (l *laggard) hides(path string, faults *lag) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[path]++
	n := l.asked[path]
	return (faults.times == 0 || n <= faults.times) && (!faults.alternate || n%2 == 0)
}

// list answers a list of tags, without those that are hidden.
func (l *laggard) list(rw http.ResponseWriter, r *http.Request, next http.Handler, faults *lag) {
	recorded := httptest.NewRecorder()
	next.ServeHTTP(recorded, r)
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if recorded.Code != http.StatusOK || json.Unmarshal(recorded.Body.Bytes(), &list) != nil {
		rw.WriteHeader(recorded.Code)
		_, _ = rw.Write(recorded.Body.Bytes())
		return
	}
	if l.hides(r.URL.Path, faults) {
		l.mu.Lock()
		list.Tags = slices.DeleteFunc(list.Tags, func(tag string) bool { return faults.list(tag, l.old[tag]) })
		l.mu.Unlock()
	}
	text, _ := json.Marshal(list)
	_, _ = rw.Write(text)
}

func ofName(name string) func(string, bool) bool {
	return func(tag string, isOld bool) bool { return isOld && strings.HasPrefix(tag, name+".") }
}

// lags are the ways in which a registry lags and hides.
func lags() map[string]*lag {
	fresh := func(tag string, isOld bool) bool { return !isOld && !strings.HasPrefix(tag, "caib.") }
	return map[string]*lag{
		"nothing":                            {},
		"lists lag by one read":              {list: fresh, times: 1},
		"lists never show what is new":       {list: fresh},
		"every second list is older":         {list: fresh, alternate: true},
		"manifests lag by three reads":       {manifest: fresh, times: 3},
		"lists and manifests lag":            {list: fresh, manifest: fresh, times: 2},
		"lists hide the entry":               {list: ofName("app")},
		"lists hide the entry once":          {list: ofName("app"), times: 1},
		"every second list hides it":         {list: ofName("app"), alternate: true},
		"lists hide another entry":           {list: ofName("other")},
		"lists hide another entry once":      {list: ofName("other"), times: 1},
		"all of another entry is hidden":     {list: ofName("other"), manifest: ofName("other")},
		"all of the entry is hidden":         {list: ofName("app"), manifest: ofName("app")},
		"manifests of the entry are hidden":  {manifest: ofName("app")},
		"manifests of another entry are":     {manifest: ofName("other")},
		"manifests of the entry lag":         {manifest: ofName("app"), times: 1},
		"the catalog is hidden":              {list: func(string, bool) bool { return true }, blind: true},
		"the catalog is hidden once":         {list: func(string, bool) bool { return true }, times: 1, blind: true},
		"referrers are hidden":               {referrers: true},
		"referrers lag by one read":          {referrers: true, times: 1},
		"tags that keep images lag":          {manifest: func(tag string, _ bool) bool { return strings.HasPrefix(tag, "caib.") }, times: 2},
		"tags that keep images never appear": {manifest: func(tag string, _ bool) bool { return strings.HasPrefix(tag, "caib.") }},
	}
}

// laggardWorld is a catalog with two versions of app and one of other, behind a laggard.
type laggardWorld struct {
	*world
	registry *laggard
	policy   *trust.Policy // nil is none
	sign     *catalog.Signing
	now      time.Time
	state    string // of who published all that
	warned   warnings
}

// warnings collects what is told, by several goroutines.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) add(warning catalog.Warning) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, warning.Err.Error())
}

func newLaggardWorld(t *testing.T, signed bool) *laggardWorld {
	l := &laggardWorld{registry: &laggard{}, now: time.Now(), state: t.TempDir()}
	l.world = newWorld(t, true, l.registry.wrap)
	if signed {
		l.sign = team(t)
		l.policy = trusting(t, l.sign)
	}
	publish := func(ago time.Duration, image, name, version string) {
		c := l.at(ago, true)
		l.publish(c, image, catalog.PublishOptions{Name: name, Version: version, Sign: l.sign})
	}
	publish(30*time.Minute, l.push("os/app", "1", "1"), "app", "1")
	publish(25*time.Minute, l.push("os/other", "1", "3"), "other", "1")
	publish(20*time.Minute, l.push("os/app", "2", "2"), "app", "2")
	l.push("os/new", "1", "4")
	return l
}

// at opens the catalog as a process some time ago, with what the one before knew, or as
// one that knows nothing.
func (l *laggardWorld) at(ago time.Duration, warm bool) *catalog.Catalog {
	o := catalog.Options{CacheDir: l.t.TempDir(), StateDir: l.t.TempDir(), Policy: l.policy, Now: func() time.Time { return l.now.Add(-ago) }, Warn: l.warned.add}
	if warm {
		o.CacheDir, o.StateDir = l.cacheDir, l.state
	}
	return l.open(o)
}

// truth is what a reader who knows nothing finds once nothing is hidden any more.
func (l *laggardWorld) truth() map[string]entry.Item {
	l.t.Helper()
	l.registry.set(nil)
	page, err := l.at(-time.Minute, false).List(l.t.Context(), catalog.ListOptions{})
	if err != nil || len(page.Refused) > 0 {
		l.t.Fatalf("the truth: %v, refused %v", err, page.Refused)
	}
	items := map[string]entry.Item{}
	for _, item := range page.Items {
		items[item.Name] = item
	}
	return items
}
