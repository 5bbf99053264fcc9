package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A policy that takes the place of another decides at once: nothing is shown any
// more as the one before had it, not even while the registry says nothing.
func TestPolicyIsReplaced(t *testing.T) {
	w, owner, stranger := newWorld(t), newTeam(t), newTeam(t)
	w.mixed(owner, stranger)
	file := w.startUnder(trusting(t, owner), nil)
	etag := w.ask("GET", "/v1/catalog/images", "").header.Get("ETag")
	next := trusting(t, stranger)
	file.set(next, nil)
	w.until("the other policy", func() bool { return strings.Contains(string(w.ask("GET", "/readyz", "").body), next.Hash()) })
	for range 50 {
		if a := w.ask("GET", "/v1/catalog/images", ""); strings.Contains(string(a.body), `"good"`) || a.header.Get("ETag") == etag {
			t.Fatalf("under the other policy: %d %s", a.status, a.body)
		}
		if a := w.ask("GET", "/v1/catalog/images/good", ""); a.status == 200 {
			t.Fatalf("under the other policy: %s", a.body)
		}
	}
	w.until("the other entry", func() bool {
		a := w.ask("GET", "/v1/catalog/images?latest=false", "")
		return a.status == 200 && names(decode[page](t, a)) == "[other]"
	})
	w.until("the reason", func() bool { return w.ask("GET", "/v1/catalog/images/good", "").status == 403 })

	w.refusing(func(answer http.ResponseWriter, _ *http.Request) bool { answer.WriteHeader(500); return true })
	last := trusting(t, newTeam(t))
	file.set(last, nil)
	w.until("the last policy", func() bool { return strings.Contains(string(w.ask("GET", "/readyz", "").body), last.Hash()) })
	w.until("an answer under it", func() bool { return w.ask("GET", "/v1/catalog/images", "").status == 200 })
	if a := w.ask("GET", "/v1/catalog/images/other", ""); a.status != 502 || !strings.Contains(string(a.body), "could not be checked") {
		t.Errorf("what nobody can tell: %d %s", a.status, a.body)
	}
	if got := w.verdictsOf(""); got != "[]" {
		t.Errorf("the list is %s, want nothing", got)
	}
	file.set(next, nil)
	w.until("what was verified under a policy that is back", func() bool {
		a := w.ask("GET", "/v1/catalog/images?latest=false", "")
		return a.status == 200 && names(decode[page](t, a)) == "[other]"
	})
}

// While the policy cannot be read nothing is shown: it may be another one. A file
// that is half written for a moment changes nothing.
func TestPolicyCannotBeRead(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.mixed(owner, newTeam(t))
	file := w.startUnder(trusting(t, owner), w.allowPublish)
	file.mu.Lock()
	file.faults = 1
	begun := file.read
	file.mu.Unlock()
	for file.readings() < begun+3 {
		if a := w.ask("GET", "/v1/catalog/images/good", ""); a.status != 200 {
			t.Fatalf("after one failure to read it: %d %s", a.status, a.body)
		}
	}
	file.set(nil, errors.New("policy: /etc/caib/policy.yaml: it makes no sense"))
	w.until("that nothing is shown", func() bool { return w.ask("GET", "/v1/catalog/images", "").status == 503 })
	for path, want := range map[string]string{
		"/v1/catalog/images/good":                       "policy of this server cannot be read",
		"/v1/catalog/images?signed=verified":            "policy of this server cannot be read",
		"/v1/catalog/images?as-of=2100-01-01T00:00:00Z": "policy of this server cannot be read",
		"/v1/catalog/images/good?version=1":             "policy of this server cannot be read",
		"/v1/catalog/images/good/history":               "policy of this server cannot be read",
		"/v1/catalog/history":                           "policy of this server cannot be read",
		"/readyz":                                       `"error":"failure"`,
	} {
		if a := w.ask("GET", path, ""); a.status != 503 || !strings.Contains(string(a.body), want) || strings.Contains(string(a.body), "/etc") {
			t.Errorf("%s: %d %s, want 503 and %q", path, a.status, a.body, want)
		}
	}
	for _, write := range []struct{ method, path, body string }{
		{"POST", "/v1/catalog/images/good/verify", ""},
		{"DELETE", "/v1/catalog/images/good", ""},
		{"POST", "/v1/catalog/publish", fmt.Sprintf(`{"image":"%s/os/good:1"}`, w.host)},
	} {
		if a := w.ask(write.method, write.path, write.body, bearer); a.status != 503 {
			t.Errorf("%s %s: %d %s, want 503", write.method, write.path, a.status, a.body)
		}
	}
	metrics := string(w.ask("GET", "/metrics", "").body)
	for _, line := range []string{`caib_verdicts{verdict="verified"} 0`, `caib_verdicts{verdict="unknown"} 5`, "caib_policy_readable 0"} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	w.until("that a reading of the catalog fails", func() bool { return strings.Contains(w.log.String(), "the catalog could not be") })
	if text := w.log.String(); !strings.Contains(text, "it makes no sense") || strings.Contains(text, "serving the last state") {
		t.Error("the log does not say why the policy cannot be read, or says that something is served")
	}
	file.set(trusting(t, owner), nil)
	w.until("that it is shown again", func() bool { return w.ask("GET", "/v1/catalog/images/good", "").status == 200 })
}

// Without patterns, a server under a policy opens the registries of its catalogs
// and of what it verified, and no others: an entry that nobody signed makes it ask
// nobody.
func TestServerOpensTheRegistriesOfWhatItVerified(t *testing.T) {
	vouched, internal := newWorld(t), newWorld(t)
	requests := vouched.requests()
	leaked := internal.requests()
	images := map[string]string{"good": vouched.push("os/good", "1"), "plain": internal.push("os/plain", "1")}
	for _, test := range []struct {
		require []trust.Subject
		want    string
	}{
		{[]trust.Subject{trust.SubjectEntry}, "[good verified plain unsigned]"},
		{[]trust.Subject{trust.SubjectEntry, trust.SubjectImage}, "[good verified plain unsigned]"}, // whose image nobody asked about
		{[]trust.Subject{trust.SubjectImage}, "[good unknown plain unknown]"},                       // nobody signed where the images are
	} {
		w, owner := newWorld(t), newTeam(t)
		owner.Image = true
		for name, image := range images {
			options := catalog.PublishOptions{Name: name, NoAttach: true}
			if name == "good" {
				options.Sign = owner
			}
			if _, err := w.catalog.Publish(t.Context(), image, options); err != nil {
				t.Fatal(err)
			}
		}
		requests.Store(0)
		leaked.Store(0)
		policy := trusting(t, owner, warning, func(rule *trust.Rule) { rule.Require = test.require })
		c := w.under(policy, catalog.Options{})
		w.startReady(func(o *server.Options) {
			o.Catalogs, o.Policy = []*catalog.Catalog{c}, (&policyFile{policy: policy}).Read
		})
		if got := w.verdictsOf("phase=all"); got != test.want {
			t.Errorf("require %s: %s, want %s", test.require, got, test.want)
		}
		for _, path := range []string{"plain/verify?wait=true", "plain/verify"} {
			if a := w.ask("POST", "/v1/catalog/images/"+path, ""); !strings.Contains(string(a.body), "--allow-registry") {
				t.Errorf("require %s, %s: %d %s", test.require, path, a.status, a.body)
			}
		}
		if a := w.ask("POST", "/v1/catalog/images/good/verify?wait=true", ""); test.require[0] == trust.SubjectEntry && strings.Contains(string(a.body), "--allow-registry") {
			t.Errorf("require %s, good: %d %s", test.require, a.status, a.body)
		}
		w.ask("GET", "/v1/catalog/history", "")
		w.stop()
		if opened := requests.Load() > 0; opened != (test.require[0] == trust.SubjectEntry) {
			t.Errorf("require %s: the registry of what is signed was asked %d times", test.require, requests.Load())
		}
		if leaked.Load() > 0 {
			t.Errorf("require %s: the registry of what nobody signed was asked %d times", test.require, leaked.Load())
		}
	}
}

// Another policy vouches anew: what the one before verified opens no registry.
func TestAnotherPolicyVouchesAnew(t *testing.T) {
	w, other, owner := newWorld(t), newWorld(t), newTeam(t)
	image := other.push("os/good", "1")
	if _, err := w.catalog.Publish(t.Context(), image, catalog.PublishOptions{Name: "good", NoAttach: true, Sign: owner}); err != nil {
		t.Fatal(err)
	}
	c := w.under(trusting(t, owner, warning), catalog.Options{})
	file := &policyFile{policy: trusting(t, owner, warning)}
	w.startReady(func(o *server.Options) {
		o.Catalogs, o.Policy = []*catalog.Catalog{c}, file.Read
	})
	if a := w.ask("POST", "/v1/catalog/images/good/verify?wait=true", ""); !strings.Contains(string(a.body), `"content","result":"ok"`) {
		t.Errorf("what is verified: %d %s", a.status, a.body)
	}
	file.set(trusting(t, newTeam(t), warning), nil)
	w.until("the other policy to decide", func() bool {
		return strings.Contains(string(w.ask("GET", "/v1/catalog/images/good", "").body), `"untrusted"`)
	})
	if a := w.ask("POST", "/v1/catalog/images/good/verify?wait=true", ""); !strings.Contains(string(a.body), "--allow-registry") {
		t.Errorf("what is not verified any more: %d %s", a.status, a.body)
	}
}

// What is verified costs a refresh no more than the list of tags, and reading
// nothing.
func TestPolicyCostsNoRequests(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	for n := range 5 {
		w.signed(fmt.Sprintf("e%d", n), owner)
	}
	w.startUnder(trusting(t, owner), func(o *server.Options) { o.Interval = 0 })
	var lists, others atomic.Int64
	w.refusing(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			lists.Add(1)
		} else {
			others.Add(1)
		}
		return false
	})
	w.until("some refreshes", func() bool {
		for n := range 5 {
			w.ask("GET", fmt.Sprintf("/v1/catalog/images/e%d", n), "")
			w.ask("GET", fmt.Sprintf("/v1/catalog/images?signed=verified&limit=%d", n+1), "")
		}
		w.ask("GET", "/metrics", "")
		return lists.Load() > 5
	})
	if others.Load() > 0 {
		t.Errorf("%d requests beside the lists of tags", others.Load())
	}
}
