package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/faultproxy"
	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

const mostAsked = 40

// sentRequests counts requests.
type sentRequests struct{ sent atomic.Int64 }

func (c *sentRequests) RoundTrip(request *http.Request) (*http.Response, error) {
	c.sent.Add(1)
	return http.DefaultTransport.RoundTrip(request)
}

// diagnose has a registry diagnosed as somebody with a file of logins, "" for none.
func diagnose(t *testing.T, host, authFile string) (registry.Diagnosis, error) {
	t.Helper()
	requests := &sentRequests{}
	client, err := registry.New(registry.Options{Backoff: 20 * time.Millisecond, AuthFile: authFile, Transport: requests})
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.Diagnose(t.Context(), registry.Reference{Registry: host, Repository: "team/catalog"})
	if sent := requests.sent.Load(); sent > mostAsked || int(sent) != found.Requests {
		t.Errorf("%d requests were sent, and it says %d; want at most %d", sent, found.Requests, mostAsked)
	}
	return found, err
}

// quirks are the features that are not as the specification says.
func quirks(d registry.Diagnosis) (all []string) {
	for _, f := range d.Findings {
		if f.Support != "yes" || f.Quirk != "" {
			all = append(all, f.Feature+": "+f.Support+": "+f.Quirk)
		}
		if (f.Quirk == "") != (f.Handling == "") {
			all = append(all, fmt.Sprintf("%s: quirk %q and handling %q", f.Feature, f.Quirk, f.Handling))
		}
	}
	return all
}

// What the registries of these tests differ in.
const (
	noAPI      = "Referrers API: no: there is none: 404: 404 page not found"
	noRanges   = "ranges: no: no part of a blob can be asked for"
	noLink     = "pages of tags: no: a page has no Link to the next one"
	noPages    = "pages of tags: no: a list comes whole, whatever page is asked for"
	ignoreLast = "tags after another: no: the list comes whole, whatever it is to come after"
)

func TestDoctorOnEachRegistry(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"distribution-3.1":          {noAPI},
		"distribution-3.1-nodelete": {noAPI, "delete: no: 405: unsupported: The operation is unsupported."},
		"distribution-2.8":          {noAPI, noPages, ignoreLast, "delete: yes: not by tag: 400: digest invalid: provided digest did not match uploaded content"},
		"ggcr":                      {noRanges, noLink},
		"ggcr-noreferrers":          {noRanges, "Referrers API: no: there is none: 404: method unknown: We don't understand your method + url", noLink},
		"ocimem":                    nil,
	}
	for _, kind := range registries.All() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			server := kind.Start(t)
			found, err := diagnose(t, server.Host, "")
			if err != nil {
				t.Fatalf("a catalog cannot live there: %v", err)
			}
			if diff := cmp.Diff(want[kind.Name], quirks(found)); diff != "" {
				t.Errorf("quirks (-want +got):\n%s", diff)
			}
			checkCleaned(t, server.Host, found, server.Delete)
		})
	}
}

// checkNamed checks that no tag is left that is not named, and returns the repository.
func checkNamed(t *testing.T, host string, found registry.Diagnosis) registry.Repository {
	t.Helper()
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repository, err := client.Open(registry.Reference{Registry: host, Repository: "team/catalog"})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := repository.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		if !slices.Contains(found.Left, host+"/team/catalog:"+tag) {
			t.Errorf("%s is left, and not named among %v", tag, found.Left)
		}
	}
	return repository
}

// checkCleaned checks that what was written is gone, or named.
func checkCleaned(t *testing.T, host string, found registry.Diagnosis, deletes bool) {
	t.Helper()
	repository := checkNamed(t, host, found)
	if deletes != (len(found.Left) == 0) {
		t.Errorf("it deletes: %v, and %v is named as left", deletes, found.Left)
	}
	for _, left := range found.Left {
		ref, err := registry.ParseReference(left)
		if err == nil {
			_, err = repository.Resolve(t.Context(), ref.Target())
		}
		if err != nil {
			t.Errorf("%s is named as left: %v", left, err)
		}
	}
}

// Each switch of the fault proxy is found, and nothing else.
func TestDoctorFindsEachFault(t *testing.T) {
	t.Parallel()
	status := func(code int) faultproxy.Action { return faultproxy.Action{Status: code} }
	for name, test := range map[string]struct {
		faults  faultproxy.Faults
		added   []string // the quirks besides those of the registry; * is any text
		without []string // those of the registry that are not found
	}{
		"PageSize":          {faults: faultproxy.Faults{PageSize: 1}},
		"MaxN":              {faults: faultproxy.Faults{PageSize: 1, MaxN: 100}, added: []string{"large pages of tags: no: n=1000 is refused: 413: pagination number invalid: n is too large"}},
		"UnknownLast404":    {faults: faultproxy.Faults{UnknownLast404: true}, added: []string{"tags after another: no: after a tag that does not exist: 404: name unknown: last is unknown", noPages}},
		"no pages":          {faults: faultproxy.Faults{HideTags: func(string) bool { return false }}, added: []string{noPages}},
		"NoDelete":          {faults: faultproxy.Faults{NoDelete: true}, added: []string{"delete: no: 405: unsupported: deletion is not supported", noPages}},
		"NoReferrers":       {faults: faultproxy.Faults{NoReferrers: true}, added: []string{noAPI, noPages}},
		"StrictSubject":     {faults: faultproxy.Faults{StrictSubject: true}, added: []string{"unknown subjects: no: a manifest whose subject is not there is refused: 400: manifest invalid: the subject is unknown", noPages}},
		"MaxAnnotation":     {faults: faultproxy.Faults{MaxAnnotation: 256}, added: []string{"long annotations: no: annotations of 1024 characters are refused: 400: manifest invalid: annotation org.opencontainers.image.description is too long", noPages}},
		"ReadLag":           {faults: faultproxy.Faults{ReadLag: 200 * time.Millisecond}, added: []string{"read back: yes: a tag shows up up to *", noLink}},
		"ReferrersType":     {faults: faultproxy.Faults{ReferrersType: "application/json"}, added: []string{`Referrers API: yes: its answers are "application/json"`, noPages}},
		"Link":              {faults: faultproxy.Faults{PageSize: 1, Link: `<http://registry.internal/x?%s>; rel=next`}, added: []string{"pages of tags: yes: its Link names http://registry.internal/x"}},
		"Link, no key":      {faults: faultproxy.Faults{PageSize: 1, Link: `</v2/catalog/tags/list?%s>; rel="next"`}, added: []string{"pages of tags: yes: its Link names /v2/catalog/tags/list"}},
		"NoLength":          {faults: faultproxy.Faults{NoLength: true}, added: []string{"HEAD: yes: its answer does not say what is there", noPages}},
		"ZeroLength":        {faults: faultproxy.Faults{ZeroLength: true}, added: []string{"HEAD: yes: its answer does not say what is there", noPages}},
		"PutStatus":         {faults: faultproxy.Faults{PutStatus: 202}, added: []string{"manifests: yes: a manifest that is stored is answered by 202", noPages}},
		"ForbidAbsent":      {faults: faultproxy.Faults{ForbidAbsent: true}, added: []string{"404 for absent tags: no: 403: Forbidden", noPages}},
		"OneHeader":         {faults: faultproxy.Faults{OneHeader: true}, added: []string{noPages}},
		"NoRange":           {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Do: faultproxy.Action{NoRange: true}}}}, added: []string{noRanges, noPages}},
		"HEAD is 401":       {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: onHead, Do: status(401)}}}, added: []string{"HEAD: no: 401", noPages}},
		"referrers are 405": {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/referrers/"), Do: status(405)}}}, added: []string{"Referrers API: no: there is none: 405: unknown: Method Not Allowed", noPages}},
		"referrers are 401": {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/referrers/"), Do: status(401)}}}, added: []string{"Referrers API: no: 401: unknown: Unauthorized", noPages}},
		"503 once":          {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Times: 1, Do: status(503)}}}, added: []string{"answers every request: no: 0 were answered by 429, and 1 by 5xx or not at all, of *", noPages}},
		"429 once":          {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Times: 1, Do: faultproxy.Action{Status: 429, RetryAfter: "0"}}}}, added: []string{"answers every request: no: 1 were answered by 429, and 0 by 5xx or not at all, of *", noPages}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, registries.OCIMem(t).Host, test.faults)
			found, err := diagnose(t, proxy.Host, "")
			if err != nil {
				t.Fatalf("a catalog cannot live there: %v", err)
			}
			got := quirks(found)
			for i, quirk := range got {
				for _, want := range test.added {
					if start, any := strings.CutSuffix(want, "*"); any && strings.HasPrefix(quirk, start) {
						got[i] = want
					}
				}
			}
			slices.Sort(got)
			slices.Sort(test.added)
			if diff := cmp.Diff(test.added, got); diff != "" {
				t.Errorf("quirks (-want +got):\n%s", diff)
			}
			proxy.Set(faultproxy.Faults{})
			checkCleaned(t, proxy.Host, found, !test.faults.NoDelete)
		})
	}
}

// Where no catalog can live, the error says why, and what was found before is said.
func TestDoctorFindsWhereNoCatalogCanLive(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults  faultproxy.Faults
		kind    error
		last    string // what is found last, before the deletions
		touched bool   // something was written
		left    bool   // something stays
	}{
		"ReadOnly":    {faults: faultproxy.Faults{ReadOnly: true}, kind: entry.ErrUnauthorized, last: "blobs: no: 405: unsupported: the registry is read-only"},
		"HideTags":    {faults: faultproxy.Faults{HideTags: func(tag string) bool { return true }}, kind: entry.ErrUnreachable, last: "new tags in the list: unknown: ", touched: true},
		"annotations": {faults: faultproxy.Faults{MaxAnnotation: 255}, kind: entry.ErrMalformed, last: "manifests: no: 400: manifest invalid: annotation"},
		"503":         {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Do: faultproxy.Action{Status: 503}}}}, kind: entry.ErrUnreachable, last: "tag list: unknown: 503: unknown: Service Unavailable"},
		"429":         {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Do: faultproxy.Action{Status: 429}}}}, kind: entry.ErrUnreachable, last: "tag list: unknown: 429: unknown: Too Many Requests"},
		"401":         {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Do: faultproxy.Action{Status: 401}}}}, kind: entry.ErrUnauthorized, last: "tag list: no: "},
		"HTML":        {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Do: faultproxy.Action{HTML: true}}}}, kind: entry.ErrUnreachable, last: "tag list: unknown: "},
		"altered":     {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On(http.MethodGet, "/manifests/"), Do: faultproxy.Action{Alter: true}}}}, kind: entry.ErrUnreachable, last: "read back: unknown: ", touched: true},
		"cut":         {faults: faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On(http.MethodGet, "/tags/"), Do: faultproxy.Action{Cut: true}}}}, kind: entry.ErrUnreachable, last: "new tags in the list: unknown: ", touched: true},
		"lag":         {faults: faultproxy.Faults{ReadLag: time.Hour}, kind: entry.ErrUnreachable, last: "read back: unknown: ", touched: true, left: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.New(t, registries.OCIMem(t).Host, test.faults)
			found, err := diagnose(t, proxy.Host, "")
			if !errors.Is(err, test.kind) {
				t.Errorf("error %v, want %v", err, test.kind)
			}
			said := slices.DeleteFunc(quirks(found), func(quirk string) bool {
				return strings.HasPrefix(quirk, "delete: ") || strings.HasPrefix(quirk, "answers every request: ")
			})
			if len(said) == 0 || !strings.HasPrefix(said[len(said)-1], test.last) {
				t.Errorf("found %q, want %q last", said, test.last)
			}
			written := 0
			for _, request := range proxy.Requests() {
				if strings.HasPrefix(request, "PUT ") && strings.Contains(request, "/manifests/") && strings.HasSuffix(request, " 201") {
					written++
				}
			}
			if (written > 0) != test.touched {
				t.Errorf("%d manifests were written, want any: %v", written, test.touched)
			}
			proxy.Set(faultproxy.Faults{})
			checkCleaned(t, proxy.Host, found, !test.left)
		})
	}
}

// Behind logins of all kinds the login is used, and named.
func TestDoctorLogsIn(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]faultproxy.Faults{
		"plain":        {},
		"Strangers404": {Strangers404: true},
		"Challenges":   {Challenges: []string{`Negotiate`}},
		"OneHeader":    {Challenges: []string{`Negotiate`}, OneHeader: true},
		"Scope":        {Scope: "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens := registries.NewTokens(t, map[string]registries.User{
				"alice": {Password: alicePassword, May: []string{"pull", "push", "delete"}},
				"bob":   {Password: bobPassword, May: []string{"pull"}},
			})
			l := newLogin(t, tokens.Distribution3(t))
			proxy := faultproxy.New(t, l.host, faults)
			alice := l.auths("alice.json", map[string][2]string{proxy.Host: {"alice", alicePassword}})
			found, err := diagnose(t, proxy.Host, alice)
			if err != nil {
				t.Fatalf("a catalog cannot live there: %v", err)
			}
			if !strings.HasPrefix(found.Account, "alice from "+alice) || len(found.Left) > 0 {
				t.Errorf("as %q, with %v left; want alice, and nothing", found.Account, found.Left)
			}
			bob := l.auths("bob.json", map[string][2]string{proxy.Host: {"bob", bobPassword}})
			if _, err := diagnose(t, proxy.Host, bob); !errors.Is(err, entry.ErrUnauthorized) {
				t.Errorf("one who may only pull gets %v, want %v", err, entry.ErrUnauthorized)
			}
			if _, err := diagnose(t, proxy.Host, ""); !errors.Is(err, entry.ErrUnauthorized) && !errors.Is(err, entry.ErrNotFound) {
				t.Errorf("nobody gets %v", err)
			}
		})
	}
}

// A registry that answers every second request alone does not lead to more requests,
// and what was not asked is not said to be known.
func TestDoctorAsksNoMore(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, registries.Distribution3(t, true).Host, faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: every(2), Do: faultproxy.Action{Status: 503}}}})
	found, err := diagnose(t, proxy.Host, "")
	if err != nil {
		t.Fatalf("a catalog cannot live there: %v", err)
	}
	if said := strings.Join(quirks(found), "\n"); !strings.Contains(said, "tags after another: unknown: after a tag that does not exist: not asked") {
		t.Errorf("it does not say what was not asked:\n%s", said)
	}
	proxy.Set(faultproxy.Faults{})
	checkNamed(t, proxy.Host, found)
}
