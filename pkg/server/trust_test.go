package server_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/pkg/trust"
)

// mixed publishes an entry for each verdict that an owner's policy has.
func (w *world) mixed(owner, stranger *catalog.Signing) {
	w.t.Helper()
	w.signed("good", owner)
	w.signed("other", stranger)
	w.signed("plain", nil)
	w.signed("gone", owner)
	w.signed("ended", owner)
	w.later("later")
	for name, by := range map[string]*catalog.Signing{"gone": nil, "ended": owner} {
		if _, err := w.catalog.Remove(w.t.Context(), name, catalog.RemoveOptions{Sign: by}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// What the policy refuses is in no list, and answered by name with the reason,
// which needs no token; what it verifies says by whom.
func TestServerRefusesByItsPolicy(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.mixed(owner, newTeam(t))
	w.startUnder(trusting(t, owner), nil)
	a := w.ask("GET", "/v1/catalog/images", "")
	list := decode[api.List](t, a)
	if len(list.Items) != 1 || list.Total != 1 || list.Refused != 4 || list.Items[0].Name != "good" {
		t.Fatalf("the list is %s, want good alone and four refused", a.body)
	}
	item := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/good", ""))
	if item.Verdict != "verified" || len(item.Signers) != 1 || item.Signers[0].What != "entry" || !strings.Contains(item.Signers[0].Name, "SHA256:") {
		t.Errorf("good is %q, signed by %v", item.Verdict, item.Signers)
	}
	for name, want := range map[string]struct {
		status int
		say    string
	}{
		"other": {403, `entry \"other\" is untrusted: entry: signed with none of the keys`},
		"plain": {403, `entry \"plain\" is unsigned: entry: it has no signature`},
		"gone":  {403, `the removal of entry \"gone\" is unsigned`},
		"later": {403, `entry \"later\", of a later format, is unsigned`},
		"ended": {404, "not_found"},
		"never": {404, "not_found"},
	} {
		for _, path := range []string{"", "?version=1"} {
			if path != "" && name == "later" {
				continue // of which no version can be read
			}
			a := w.ask("GET", "/v1/catalog/images/"+name+path, "")
			if a.status != want.status || !strings.Contains(string(a.body), want.say) {
				t.Errorf("%s%s: %d %s, want %d and %q", name, path, a.status, a.body, want.status, want.say)
			}
		}
		if a := w.ask("POST", "/v1/catalog/images/"+name+"/verify", ""); a.status != want.status || !strings.Contains(string(a.body), want.say) {
			t.Errorf("verify %s: %d %s, want %d and %q", name, a.status, a.body, want.status, want.say)
		}
	}
	metrics := string(w.ask("GET", "/metrics", "").body)
	for _, line := range []string{
		`caib_verdicts{verdict="verified"} 1`, `caib_verdicts{verdict="unsigned"} 3`, `caib_verdicts{verdict="untrusted"} 1`,
		`caib_verdicts{verdict="invalid"} 0`, `caib_verdicts{verdict="unknown"} 0`, "caib_refused 4", "caib_policy_readable 1",
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	then := decode[api.List](t, w.ask("GET", "/v1/catalog/images?as-of="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339), ""))
	if len(then.Items) != 1 || then.Items[0].Verdict != "verified" || then.Refused != 4 {
		t.Errorf("the catalog as of a time shows %v and refuses %d, want good alone and four refused", then.Items, then.Refused)
	}
}

// The answer to a request to verify says what the signatures are, of what is
// refused, too.
func TestServerVerifiesUnderItsPolicy(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.mixed(owner, newTeam(t))
	w.startUnder(trusting(t, owner), nil)
	for name, want := range map[string]entry.Verdict{"good": "verified", "plain": "unsigned", "other": "untrusted"} {
		a := w.ask("POST", "/v1/catalog/images/"+name+"/verify?wait=true", "")
		found := decode[api.Verification](t, a)
		if a.status != 200 || found.Verdict != want || found.Verification == nil || found.Verification.Verdict != want {
			t.Errorf("%s: %d %s, want the verdict %s", name, a.status, a.body, want)
		}
		if refused := found.Failure != nil && found.Failure.Code == "untrusted"; refused != (name != "good") {
			t.Errorf("%s: the failure is %v", name, found.Failure)
		}
	}
	if a := w.ask("POST", "/v1/catalog/images/good/verify", ""); a.status != 429 { // it was verified a moment ago
		t.Errorf("again: %d %s", a.status, a.body)
	}
}

// Where rules only warn, everything is listed with its verdict, and can be
// selected by it.
func TestServerSelectsByVerdict(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.mixed(owner, newTeam(t))
	w.startUnder(trusting(t, owner, warning), nil)
	for query, want := range map[string]string{
		"":                                    "[good verified other untrusted plain unsigned]",
		"signed=verified":                     "[good verified]",
		"signed=unsigned,untrusted":           "[other untrusted plain unsigned]",
		"signed=unsigned&signed=untrusted":    "[other untrusted plain unsigned]",
		"signed=invalid&signed=unknown":       "[]",
		"signed=verified&tags=nightly":        "[]",
		"signed=verified,verified,verified":   "[good verified]",
		"signed=verified&architecture=arm64":  "[good verified]",
		"signed=untrusted&phase=all&limit=20": "[other untrusted]",
	} {
		if got := w.verdictsOf(query); got != want {
			t.Errorf("%q selects %s, want %s", query, got, want)
		}
	}
	for _, bad := range []string{"signed=yes", "signed=", "signed=verified,", "signed=Verified", "signed=verified%20"} {
		if a := w.ask("GET", "/v1/catalog/images?"+bad, ""); a.status != 400 {
			t.Errorf("%s: %d %s, want 400", bad, a.status, a.body)
		}
	}
	first := decode[page](t, w.ask("GET", "/v1/catalog/images?latest=false&limit=1&signed=unsigned,untrusted", ""))
	second := w.ask("GET", "/v1/catalog/images?latest=false&limit=1&signed=untrusted&signed=unsigned&continue="+first.Continue, "")
	if second.status != 200 || names(decode[page](t, second)) == names(first) {
		t.Errorf("the second page: %d %s", second.status, second.body)
	}
}

// A server without a policy selects by no verdict, and shows none.
func TestServerWithoutAPolicyHasNoVerdicts(t *testing.T) {
	w := newWorld(t)
	w.signed("good", newTeam(t))
	w.startReady(nil)
	if got := w.verdictsOf(""); got != "[good ]" {
		t.Errorf("the list is %s", got)
	}
	a := w.ask("GET", "/v1/catalog/images?signed=verified", "")
	if a.status != 400 || !strings.Contains(string(a.body), "no trust policy") {
		t.Errorf("signed=verified: %d %s", a.status, a.body)
	}
	if metrics := string(w.ask("GET", "/metrics", "").body); strings.Contains(metrics, "caib_verdicts") {
		t.Error("the metrics have verdicts")
	}
}

// Servers that have read the same log under the same policy answer with the same
// ETags, which change with the verdicts.
func TestVerdictsAreInETags(t *testing.T) {
	w, owner, stranger := newWorld(t), newTeam(t), newTeam(t)
	w.mixed(owner, stranger)
	paths := []string{"/v1/catalog/images", "/v1/catalog/images/good"}
	tags := func() (all []string) {
		for _, path := range paths {
			all = append(all, w.ask("GET", path, "").header.Get("ETag"))
		}
		return all
	}
	w.startReady(nil)
	without := tags()
	w.startUnder(trusting(t, owner, warning), nil)
	first := tags()
	file := w.startUnder(trusting(t, owner, warning), nil)
	if second := tags(); fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("two servers answer with %v and %v", first, second)
	}
	file.set(trusting(t, stranger, warning), nil)
	w.until("the other policy to decide", func() bool {
		return strings.Contains(string(w.ask("GET", "/v1/catalog/images/good", "").body), `"untrusted"`)
	})
	for n, changed := range tags() {
		if changed == first[n] || changed == without[n] || first[n] == without[n] {
			t.Errorf("%s: the ETag is %s without a policy, %s under one and %s under another", paths[n], without[n], first[n], changed)
		}
	}
}

// A signature that is added afterwards is found.
func TestServerFindsSignaturesThatAreAdded(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.signed("good", owner)
	w.signed("plain", nil)
	w.startUnder(trusting(t, owner), nil)
	if got := w.verdictsOf(""); got != "[good verified]" {
		t.Fatalf("the list is %s", got)
	}
	if _, err := w.catalog.Sign(t.Context(), "plain", *owner); err != nil {
		t.Fatal(err)
	}
	w.until("what is signed now", func() bool { return w.verdictsOf("") == "[good verified plain verified]" })
}

// Without its registry a server says what it found last, and that this is old;
// one that starts says what was verified under its policy before.
func TestServerWithoutItsRegistryKeepsVerdicts(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.mixed(owner, newTeam(t))
	policy, cache, dir := trusting(t, owner, warning), t.TempDir(), t.TempDir()
	start := func(policy *trust.Policy) {
		c := w.under(policy, catalog.Options{CacheDir: cache, StateDir: dir})
		w.start(func(o *server.Options) {
			o.Catalogs, o.Policy = []*catalog.Catalog{c}, (&policyFile{policy: policy}).Read
			o.CacheFile = dir + "/kept"
		})
	}
	start(policy)
	w.until("the verdicts", func() bool {
		a := w.ask("GET", "/v1/catalog/images?latest=false", "")
		return a.status == 200 && strings.Contains(string(a.body), "untrusted")
	})
	const all = "[good verified other untrusted plain unsigned]"
	w.refusing(func(answer http.ResponseWriter, _ *http.Request) bool { answer.WriteHeader(500); return true })
	stale := func() bool { return w.ask("GET", "/v1/catalog/images", "").header.Get("X-Caib-Stale") == "true" }
	w.until("that it is stale", stale)
	if got := w.verdictsOf("phase=all"); got != all {
		t.Errorf("without its registry: %s, want %s", got, all)
	}
	w.stop()
	if _, err := os.Stat(dir + "/kept"); err == nil {
		t.Error("what is served is kept in a cache, verdicts and all")
	}
	start(policy)
	w.until("an index", func() bool { return w.ask("GET", "/readyz", "").status == 200 })
	if got := w.verdictsOf("phase=all"); got != "[good verified other unknown plain unknown]" || !stale() {
		t.Errorf("started without its registry: %s, stale %t", got, stale())
	}
	w.stop()
	start(trusting(t, newTeam(t), warning))
	w.until("an index", func() bool { return w.ask("GET", "/readyz", "").status == 200 })
	if got := w.verdictsOf("phase=all"); strings.Contains(got, "good verified") {
		t.Errorf("started under another policy: %s, want nothing verified", got)
	}
}

// What a request to verify finds is shown at once, not with the next refresh.
func TestVerifyShowsWhatItFinds(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.signed("plain", nil)
	w.startUnder(trusting(t, owner), func(o *server.Options) { o.Refresh = time.Hour })
	if got := w.verdictsOf(""); got != "[]" {
		t.Fatalf("the list is %s", got)
	}
	if _, err := w.catalog.Sign(t.Context(), "plain", *owner); err != nil {
		t.Fatal(err)
	}
	if a := w.ask("POST", "/v1/catalog/images/plain/verify?wait=true", ""); !strings.Contains(string(a.body), `"verdict":"verified"`) {
		t.Errorf("verify: %d %s", a.status, a.body)
	}
	if got := w.verdictsOf(""); got != "[plain verified]" {
		t.Errorf("afterwards the list is %s", got)
	}
}

// A verdict that cannot be found out again stays, and the answers are marked.
func TestVerdictsThatCannotBeRenewedAreStale(t *testing.T) {
	w := newWorld(t)
	w.signed("plain", nil)
	w.startUnder(trusting(t, newTeam(t), warning), nil)
	isStale := func() bool { return w.ask("GET", "/v1/catalog/images", "").header.Get("X-Caib-Stale") == "true" }
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		if away := strings.Contains(r.URL.Path, "/referrers/"); away {
			answer.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	w.until("that it is stale", isStale)
	if got := w.verdictsOf(""); got != "[plain unsigned]" {
		t.Errorf("the list is %s", got)
	}
	w.refusing(nil)
	w.until("that it is not", func() bool { return !isStale() })
}
