package e2e

import (
	"fmt"
	"net/http"
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
				usedThroughout(t, kind, faults)
			})
		}
	}
}

// usedThroughout publishes, lists and removes in a registry that differs so: all
// is written, read and attached, and nothing is asked that some registry refuses.
func usedThroughout(t *testing.T, kind string, faults faultproxy.Faults) {
	w, _ := behind(t, kind, faultproxy.Faults{})
	images := w.pushMany("image", 6)
	long := w.push(strings.Repeat("a/very/long/path/", 14)+"image", "1")
	w, proxy := w.newProxy(faults)
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
		t.Errorf("another reader does not see what was written:\n%s", diff)
	}
	for _, request := range proxy.Requests() {
		if strings.HasPrefix(request, "DELETE") {
			t.Errorf("a request that some registry refuses: %s", request)
		}
	}
}

func onHead(r *http.Request) bool { return r.Method == http.MethodHead }

// newProxy puts a new proxy with faults before the registry that the world's own
// proxy stands before.
func (w *world) newProxy(faults faultproxy.Faults) (*world, *faultproxy.Proxy) {
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
