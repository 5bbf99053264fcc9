package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/faultproxy"
	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/internal/testwait"
)

// behind starts a registry with a fault proxy before it, and a world there.
func behind(t *testing.T, kind string, faults faultproxy.Faults) (*world, *faultproxy.Proxy) {
	t.Helper()
	for _, k := range registries.All() {
		if k.Name == kind {
			server := k.Start(t)
			proxy := faultproxy.New(t, server.Host, faults)
			return newWorld(t, at(proxy.Host, kind, server.Referrers && !faults.NoReferrers)), proxy
		}
	}
	t.Fatalf("no registry %q", kind)
	return nil, nil
}

// Registries that are only different: everything works.
func TestQuirksThatChangeNothing(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]faultproxy.Faults{
		"tag pages with Link":            {PageSize: 3},
		"413 on n over 100":              {PageSize: 100, MaxN: 100},
		"404 on an unknown last":         {PageSize: 2, UnknownLast404: true},
		"405 on DELETE":                  {NoDelete: true},
		"400 on unknown subjects":        {StrictSubject: true},
		"short annotation values":        {MaxAnnotation: 256},
		"no Referrers API":               {NoReferrers: true},
		"reads that lag by 2s":           {ReadLag: 2 * time.Second},
		"GHCR: all of its together":      {PageSize: 3, NoDelete: true, NoReferrers: true, MaxAnnotation: 256, ReadLag: time.Second},
		"Quay: all of its together":      {PageSize: 3, MaxN: 3, StrictSubject: true},
		"referrers as JSON":              {ReferrersType: "application/json"},
		"referrers with a charset":       {ReferrersType: "application/vnd.oci.image.index.v1+json; charset=utf-8"},
		"links without the key":          {PageSize: 3, MaxN: 3, Link: `</v2/catalog/tags/list?%s>; rel="next"`},
		"links to an internal host":      {PageSize: 3, MaxN: 3, Link: `<http://registry.internal/v2/team/catalog/tags/list?x=0>; rel="first", <http://registry.internal/x?%s>; rel=next`},
		"HEAD is 401":                    {Rules: []*faultproxy.Rule{{Match: onHead, Do: faultproxy.Action{Status: 401}}}},
		"HEAD is 405":                    {Rules: []*faultproxy.Rule{{Match: onHead, Do: faultproxy.Action{Status: 405}}}},
		"HEAD without a length":          {NoLength: true},
		"HEAD with length 0":             {ZeroLength: true},
		"200 on PUT":                     {PutStatus: 200},
		"202 on PUT":                     {PutStatus: 202},
		"405 on referrers":               {NoReferrers: true, Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/referrers/"), Do: faultproxy.Action{Status: 405}}}},
		"403 on tags that are not there": {NoReferrers: true, ForbidAbsent: true},
		"an answer now and then 503":     {Rules: []*faultproxy.Rule{{Match: every(7), Do: faultproxy.Action{Status: 503}}}},
	} {
		for _, kind := range []string{"ggcr", "distribution-3.1"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				w, _ := behind(t, kind, faultproxy.Faults{})
				images := w.pushMany("image", 6)
				long := w.push(strings.Repeat("a/very/long/path/", 14)+"image", "1")
				w, proxy := w.again(faults)
				for i, image := range images {
					w.ok("catalog", "publish", image, "--name", fmt.Sprintf("e%d", i))
				}
				if result := w.ok("catalog", "publish", long, "--name", "long"); !strings.Contains(result.Stderr, "attached") {
					t.Errorf("not attached: %s", result.Stderr)
				}
				w.ok("catalog", "remove", "e0", "--force")
				want := []string{"e1", "e2", "e3", "e4", "e5", "long"}
				own := strings.Fields(w.ok("catalog", "list", "-o", "name", "--sort", "name").Stdout)
				if diff := cmp.Diff(want, own); diff != "" {
					t.Errorf("the writer does not see what it wrote:\n%s", diff)
				}
				if faults.ReadLag > 0 {
					w.on = target{catalog: w.on.catalog} // others see it once the registry shows it
					awaitNames(t, w, want)
				} else if diff := diffNames(want, w.list()); diff != "" {
					t.Error(diff)
				}
				for _, request := range proxy.Requests() {
					if strings.HasPrefix(request, "DELETE") {
						t.Errorf("a request that some registry refuses: %s", request)
					}
				}
			})
		}
	}
}

func onHead(r *http.Request) bool { return r.Method == http.MethodHead }

// again puts a new proxy with faults before the registry that the world's own
// proxy stands before.
func (w *world) again(faults faultproxy.Faults) (*world, *faultproxy.Proxy) {
	w.t.Helper()
	host, _, _ := strings.Cut(w.on.catalog, "/")
	proxy := faultproxy.New(w.t, host, faults)
	return newWorld(w.t, at(proxy.Host, w.on.name, w.on.referrers)), proxy
}

// awaitNames lists until the catalog shows the wanted names.
func awaitNames(t *testing.T, w *world, want []string) {
	t.Helper()
	diff := ""
	defer func() {
		if t.Failed() {
			t.Log(diff)
		}
	}()
	testwait.Until(t, fmt.Sprintf("the list to be %v", want), func() bool { diff = diffNames(want, w.list()); return diff == "" })
}

func every(n int) func(*http.Request) bool {
	count := 0
	return func(*http.Request) bool { count++; return count%n == 0 }
}

// Faults that pass: the client tries again, and the result is right.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for name, rules := range map[string][]*faultproxy.Rule{
		"429 with seconds":     {{Times: 2, Do: faultproxy.Action{Status: 429, RetryAfter: "1"}}},
		"429 with a date":      {{Times: 2, Do: faultproxy.Action{Status: 429, RetryAfter: past}}},
		"429 without a word":   {{Times: 3, Do: faultproxy.Action{Status: 429}}},
		"a burst of 500":       {{Times: 3, Do: faultproxy.Action{Status: 500}}},
		"a burst of 502":       {{Times: 3, Do: faultproxy.Action{Status: 502}}},
		"a burst of 503":       {{Times: 3, Do: faultproxy.Action{Status: 503, RetryAfter: "0"}}},
		"connections reset":    {{Times: 3, Do: faultproxy.Action{Reset: true}}},
		"a tag list cut":       {{Match: faultproxy.On("GET", "/tags/list"), Times: 2, Do: faultproxy.Action{Cut: true}}},
		"a tag list cut clean": {{Match: faultproxy.On("GET", "/tags/list"), Times: 2, Do: faultproxy.Action{CutClean: true}}},
		"manifests cut":        {{Match: faultproxy.On("GET", "/manifests/"), Times: 2, Do: faultproxy.Action{Cut: true}}},
		"manifests altered":    {{Match: faultproxy.On("GET", "/manifests/"), Times: 2, Do: faultproxy.Action{Alter: true}}},
		"blobs cut":            {{Match: faultproxy.On("GET", "/blobs/"), Times: 1, Do: faultproxy.Action{Cut: true}}},
		"blobs altered":        {{Match: faultproxy.On("GET", "/blobs/"), Times: 1, Do: faultproxy.Action{Alter: true}}},
		"a page of HTML":       {{Match: faultproxy.On("GET", "/tags/list"), Times: 1, Do: faultproxy.Action{HTML: true}}},
		"uploads fail":         {{Match: faultproxy.On("POST", "/blobs/uploads/"), Times: 2, Do: faultproxy.Action{Status: 503}}},
		"slow answers":         {{Times: 5, Do: faultproxy.Action{Delay: 200 * time.Millisecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, proxy := behind(t, "distribution-3.1", faultproxy.Faults{})
			images := w.pushMany("image", 2)
			w.ok("catalog", "publish", images[0], "--name", "first")
			proxy.Set(faultproxy.Faults{Rules: rules})
			w.ok("catalog", "publish", images[1], "--name", "second")
			proxy.Set(faultproxy.Faults{Rules: rules})
			if diff := diffNames([]string{"first", "second"}, w.list()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Faults that stay: a clear error with the right exit code, and no listing at
// all rather than a wrong one.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	tags, manifests := faultproxy.On("GET", "/tags/list"), faultproxy.On("GET", "/manifests/")
	for name, tt := range map[string]struct {
		rule faultproxy.Rule
		code int
		args []string
		says string
	}{
		"429 for longer than there is time": {faultproxy.Rule{Do: faultproxy.Action{Status: 429, RetryAfter: "300"}}, 8, nil, "429"},
		"500":                               {faultproxy.Rule{Do: faultproxy.Action{Status: 500}}, 8, nil, "500"},
		"HTML with status 200":              {faultproxy.Rule{Do: faultproxy.Action{HTML: true}}, 8, nil, "HTML"},
		"connections reset":                 {faultproxy.Rule{Do: faultproxy.Action{Reset: true}}, 8, nil, "reset"},
		"tag lists cut":                     {faultproxy.Rule{Match: tags, Do: faultproxy.Action{Cut: true}}, 8, nil, "ends early"},
		"tag lists cut clean":               {faultproxy.Rule{Match: tags, Do: faultproxy.Action{CutClean: true}}, 8, nil, "not JSON"},
		"manifests cut":                     {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Cut: true}}, 8, nil, "ends early"},
		"manifests altered":                 {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Alter: true}}, 8, nil, "altered"},
		"no answer in time":                 {faultproxy.Rule{Do: faultproxy.Action{Delay: time.Minute}}, 6, []string{"--timeout", "1s"}, "timed out"},
		"401":                               {faultproxy.Rule{Do: faultproxy.Action{Status: 401}}, 3, nil, "401"},
		"403":                               {faultproxy.Rule{Do: faultproxy.Action{Status: 403}}, 3, nil, "403"},
		"403 on manifests alone":            {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Status: 403}}, 3, nil, "403"},
		"500 on manifests alone":            {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Status: 500}}, 8, nil, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, proxy := behind(t, "ggcr", faultproxy.Faults{})
			images := w.pushMany("image", 2)
			w.ok("catalog", "publish", images[0], "--name", "first")
			w.env = []string{"HOME=" + t.TempDir(), "CAIB_CATALOG=" + w.on.catalog} // a cold cache
			rule := tt.rule
			proxy.Set(faultproxy.Faults{Rules: []*faultproxy.Rule{&rule}})
			for _, command := range [][]string{{"list"}, {"get", "first"}, {"publish", images[1], "--name", "second"}, {"remove", "first", "--force"}} {
				result := w.exits(tt.code, append(append([]string{"catalog"}, command...), tt.args...)...)
				if result.Stdout != "" || !strings.Contains(result.Stderr, tt.says) || !strings.HasPrefix(result.Stderr, "error: ") {
					t.Errorf("%v says: %s%s", command, result.Stdout, result.Stderr)
				}
			}
			proxy.Set(faultproxy.Faults{})
			if diff := diffNames([]string{"first"}, w.list()); diff != "" {
				t.Errorf("afterwards: %s", diff)
			}
		})
	}
}

// What is wrong with a snapshot costs requests, never entries; what a tag list
// leaves out is found and reported.
func TestSnapshotsAndTagListsThatLie(t *testing.T) {
	t.Parallel()
	w, proxy := behind(t, "distribution-3.1", faultproxy.Faults{})
	var want []string
	for i, image := range w.pushMany("image", 40) {
		want = append(want, fmt.Sprintf("e%02d", i))
		w.ok("catalog", "publish", image, "--name", want[i], "--no-attach")
	}
	snapshot := slices.IndexFunc(w.tags(w.on.catalog), func(tag string) bool { return strings.HasPrefix(tag, "_snapshot.") })
	if snapshot < 0 {
		t.Fatal("40 entries and no snapshot")
	}
	blobs := faultproxy.On("GET", "/blobs/")
	for name, tt := range map[string]struct {
		faults  faultproxy.Faults
		warm    bool
		reports string
	}{
		"segment cut":          {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: blobs, Do: faultproxy.Action{CutClean: true}}}}, false, "snapshot"},
		"segment altered":      {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: blobs, Do: faultproxy.Action{Alter: true}}}}, false, "snapshot"},
		"segment gone":         {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: blobs, Do: faultproxy.Action{Status: 404}}}}, false, "snapshot"},
		"snapshot gone":        {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/manifests/_snapshot"), Do: faultproxy.Action{Status: 404}}}}, false, "snapshot"},
		"tag list cut short":   {faultproxy.Faults{HideTags: func(tag string) bool { return tag > "e03" && tag < "e20" }}, false, "incomplete"},
		"tag list empty":       {faultproxy.Faults{HideTags: func(string) bool { return true }}, true, "incomplete"},
		"tag list rolled back": {faultproxy.Faults{HideTags: func(tag string) bool { return tag > "e30" || tag[0] == '_' }}, true, "incomplete"},
		"blobs elsewhere":      {faultproxy.Faults{}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Set(faultproxy.Faults{})
			reader := newWorld(t, w.on)
			if tt.warm {
				reader.ok("catalog", "list")
			}
			if name == "blobs elsewhere" {
				host, _, _ := strings.Cut(w.on.catalog, "/")
				storage := faultproxy.New(t, host, faultproxy.Faults{})
				match := func(r *http.Request) bool { return blobs(r) && r.Host == host }
				tt.faults.Rules = []*faultproxy.Rule{{Match: match, Do: faultproxy.Action{RedirectTo: storage.Host}}}
			}
			proxy.Set(tt.faults)
			result := reader.ok("catalog", "list", "-o", "name", "--sort", "name")
			if diff := cmp.Diff(want, strings.Fields(result.Stdout)); diff != "" {
				t.Error(diff)
			}
			if (tt.reports == "") != (result.Stderr == "") || !strings.Contains(result.Stderr, tt.reports) {
				t.Errorf("it reports: %s", result.Stderr)
			}
		})
	}
}
