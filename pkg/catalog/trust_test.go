package catalog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// team signs, and others trust it or not.
func team(t testing.TB) *catalog.Signing {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := trust.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return &catalog.Signing{Signer: signer}
}

func trusting(t testing.TB, s *catalog.Signing) *trust.Policy {
	t.Helper()
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{s.Signer.PublicKey()}})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// fill publishes signed entries.
func (w *world) fill(c *catalog.Catalog, count int, sign *catalog.Signing) {
	w.t.Helper()
	image := w.push("team/image", "1", "1")
	for i := range count {
		tag := fmt.Sprintf("%s:t%d", strings.TrimSuffix(image, ":1"), i)
		w.push("team/image", fmt.Sprintf("t%d", i), "1")
		w.publish(c, tag, catalog.PublishOptions{Name: fmt.Sprintf("e%03d", i), Sign: sign, NoAttach: true})
	}
}

// A verified cold list takes no request more than an unverified one, once a
// snapshot carries the signatures.
func TestVerifiedColdListBudget(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		w, sign := newWorld(t, referrers, nil), team(t)
		w.fill(w.open(catalog.Options{}), 32, sign)
		list := func(policy *trust.Policy) (page catalog.Page, requests []string) {
			cold := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: policy})
			requests = w.counter.during(func() {
				var err error
				if page, err = cold.List(t.Context(), catalog.ListOptions{}); err != nil {
					t.Fatal(err)
				}
			})
			return page, requests
		}
		_, plain := list(nil)
		page, verified := list(trusting(t, sign))
		if len(page.Items) != 32 || page.Items[0].Verdict != entry.VerdictVerified {
			t.Errorf("%d items, the first is %q", len(page.Items), page.Items[0].Verdict)
		}
		if diff := cmp.Diff(plain, verified); diff != "" {
			t.Errorf("referrers %t: requests without and with signatures:\n%s", referrers, diff)
		}
	}
}

// A snapshot's writer carries the signatures of others that it has not seen.
func TestSnapshotsCollectSignatures(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	w.fill(w.open(catalog.Options{}), 31, sign)
	// Another process, another key: its publication makes the snapshot due.
	other := w.open(catalog.Options{CacheDir: t.TempDir()})
	result := w.publish(other, w.push("team/last", "1", "2"), catalog.PublishOptions{Sign: team(t), NoAttach: true})
	if !result.Snapshot {
		t.Fatal("no snapshot")
	}
	cold := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, sign)})
	var page catalog.Page
	requests := w.counter.during(func() { page, _ = cold.List(t.Context(), catalog.ListOptions{}) })
	if len(page.Items) != 31 || len(requests) > 8 { // a few for the one that is refused
		t.Errorf("%d items in %d requests: %v", len(page.Items), len(requests), requests)
	}
}

// What one policy verified is remembered, and says nothing under another.
func TestVerdictsAreRememberedPerPolicy(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	w.publish(w.open(catalog.Options{}), w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "a", Sign: sign})
	dir := t.TempDir()
	get := func(policy *trust.Policy) (entry.Item, []string, error) {
		c := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: policy, StateDir: dir})
		var item entry.Item
		var err error
		requests := w.counter.during(func() { item, err = c.Get(t.Context(), "a", catalog.GetOptions{}) })
		return item, requests, err
	}
	policy := trusting(t, sign)
	_, first, err := get(policy)
	if err != nil {
		t.Fatal(err)
	}
	item, second, err := get(policy)
	if err != nil || item.Verdict != entry.VerdictVerified || len(second) >= len(first) {
		t.Errorf("%q, %v: %d requests, then %d", item.Verdict, err, len(first), len(second))
	}
	var refused *trust.Error
	if _, _, err := get(trusting(t, team(t))); !errors.As(err, &refused) || refused.Verdict != entry.VerdictUntrusted {
		t.Errorf("another policy: %v", err)
	}
}

// remove deletes a tag.
func (w *world) remove(tag string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodDelete, "http://"+w.host+"/v2/team/catalog/manifests/"+tag, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode >= 300 {
		w.t.Fatalf("delete %s: %v %v", tag, response, err)
	}
	response.Body.Close()
}

// A registry that was set back shows an older, signed revision as the newest:
// whoever knows the later one, from the cache or a snapshot, notices.
func TestRollbackIsNoticed(t *testing.T) {
	for _, what := range []string{"publication", "removal", "first publication"} {
		t.Run(what, func(t *testing.T) {
			w, sign := newWorld(t, true, nil), team(t)
			writer := w.open(catalog.Options{})
			image := w.push("team/image", "1", "1")
			first := w.publish(writer, image, catalog.PublishOptions{Name: "a", Version: "1", Sign: sign})
			last := first.Tag
			switch what {
			case "publication":
				last = w.publish(writer, image, catalog.PublishOptions{Name: "a", Version: "2", Sign: sign}).Tag
			case "removal":
				result, err := writer.Remove(t.Context(), "a", catalog.RemoveOptions{Sign: sign})
				if err != nil {
					t.Fatal(err)
				}
				last = result.Event.Tag
			}
			// Reading once, under the policy, remembers what was there.
			policy := trusting(t, sign)
			if _, err := w.open(catalog.Options{Policy: policy}).List(t.Context(), catalog.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			w.remove(last)
			c := w.open(catalog.Options{Policy: policy})
			page, err := c.List(t.Context(), catalog.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = refusals(page.Refused)
			var refused *trust.Error
			if !errors.As(err, &refused) || refused.Verdict != entry.VerdictInvalid || !errors.Is(err, entry.ErrUntrusted) || !strings.Contains(err.Error(), "rolled back") || len(page.Items) != 0 {
				t.Errorf("list: %v, %v", len(page.Items), err)
			}
			if _, err := c.Get(t.Context(), "a", catalog.GetOptions{}); !errors.As(err, &refused) || refused.Verdict != entry.VerdictInvalid {
				t.Errorf("get: %v", err)
			}
		})
	}
}

// An entry that was copied from another catalog is checked by the keys of the
// catalog that it stands in; under another name it is no revision.
func TestReplayFromAnotherCatalog(t *testing.T) {
	w, theirs, ours := newWorld(t, true, nil), team(t), team(t)
	from, err := catalog.Open(w.host+"/other/catalog", catalog.Options{Registry: w.client})
	if err != nil {
		t.Fatal(err)
	}
	result := w.publish(from, w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "a", Sign: theirs})
	w.copyTo(result.Tag, "other/catalog", "team/catalog")
	w.copyAs(result.Tag, "other/catalog", "team/catalog", strings.Replace(result.Tag, "a.", "b.", 1))
	policy, err := trust.NewPolicy(nil, nil,
		&trust.Rule{Catalog: "**/team/*", Keys: []*trust.PublicKey{ours.Signer.PublicKey()}},
		&trust.Rule{Catalog: "**/other/*", Keys: []*trust.PublicKey{theirs.Signer.PublicKey()}},
	)
	if err != nil {
		t.Fatal(err)
	}
	c := w.open(catalog.Options{Policy: policy})
	var refused *trust.Error
	if _, err := c.Get(t.Context(), "a", catalog.GetOptions{}); !errors.As(err, &refused) || refused.Verdict != entry.VerdictUntrusted {
		t.Errorf("under its own name: %v", err)
	}
	if _, err := c.Get(t.Context(), "b", catalog.GetOptions{}); !errors.As(err, &refused) || refused.Verdict != entry.VerdictInvalid {
		t.Errorf("under another name: %v", err)
	}
}

// Without an answer about signatures, nothing passes, and nothing is called
// unsigned.
func TestNoAnswerIsUnreachable(t *testing.T) {
	for _, status := range []int{401, 429, 500} {
		var broken atomic.Bool
		w := newWorld(t, true, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if broken.Load() && (strings.Contains(r.URL.Path, "/referrers/") || strings.HasSuffix(r.URL.Path, ".sig")) {
					rw.WriteHeader(status)
					return
				}
				next.ServeHTTP(rw, r)
			})
		})
		sign := team(t)
		w.publish(w.open(catalog.Options{}), w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "a"})
		broken.Store(true)
		c := w.open(catalog.Options{Policy: trusting(t, sign)})
		page, err := c.List(t.Context(), catalog.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = refusals(page.Refused)
		var refused *trust.Error
		if len(page.Items) != 0 || !errors.Is(err, entry.ErrUnreachable) || errors.Is(err, entry.ErrUntrusted) || !errors.As(err, &refused) || refused.Verdict != entry.VerdictUnknown {
			t.Errorf("%d: %v, %v", status, len(page.Items), err)
		}
		if v, err := c.Verify(t.Context(), "a", catalog.VerifyOptions{}); v.Verdict != entry.VerdictUnknown || !errors.Is(err, entry.ErrUnreachable) {
			t.Errorf("%d: verify %s, %v", status, v.Verdict, err)
		}
	}
}

// False signatures in a snapshot cost a lookup, and change no verdict: neither
// to the better nor to the worse.
func TestForgedSignaturesInASnapshot(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	writer := w.open(catalog.Options{})
	signed := w.publish(writer, w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "signed", Sign: sign})
	bare := w.publish(writer, w.push("team/bare", "1", "2"), catalog.PublishOptions{Name: "bare"})
	// A forger with a cache of its own: bundles of the wrong entry, and none.
	ref := registry.Reference{Registry: w.host, Repository: "team/catalog"}
	repository, err := w.client.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	forger := ocilog.New(repository, "forger", ocilog.Options{})
	tag := func(result catalog.PublishResult) revision.Tag { tag, _ := revision.ParseTag(result.Tag); return tag }
	d, err := repository.Resolve(t.Context(), signed.Tag)
	if err != nil {
		t.Fatal(err)
	}
	real := signature.Find(t.Context(), repository, d.Digest).Signatures[0].JSON()
	forger.AddSignatures(t.Context(), tag(bare), real)
	forger.AddSignatures(t.Context(), tag(signed), []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
	for i := range 32 {
		w.publish(writer, w.push("team/more", fmt.Sprint(i), fmt.Sprint(i)), catalog.PublishOptions{Name: fmt.Sprintf("m%d", i), Sign: sign, NoAttach: true})
	}
	view, err := forger.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forger.Compact(t.Context(), view); err != nil {
		t.Fatal(err)
	}
	cold := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, sign)})
	if item, err := cold.Get(t.Context(), "signed", catalog.GetOptions{}); err != nil || item.Verdict != entry.VerdictVerified {
		t.Errorf("signed: %q, %v", item.Verdict, err)
	}
	var refused *trust.Error
	if _, err := cold.Get(t.Context(), "bare", catalog.GetOptions{}); !errors.As(err, &refused) || refused.Verdict != entry.VerdictUnsigned {
		t.Errorf("bare: %v", err)
	}
}

// What a stranger puts beside a signature does not take its place in a snapshot.
func TestSnapshotsCarryWhatCounts(t *testing.T) {
	w, ours := newWorld(t, true, nil), team(t)
	writer := w.open(catalog.Options{})
	w.fill(writer, 31, nil)
	repository, err := w.client.Open(parse(t, w.host+"/team/catalog"))
	if err != nil {
		t.Fatal(err)
	}
	heads, err := writer.Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	subject, _, err := repository.Manifest(t.Context(), heads[0].Revision.String())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 31 {
		junk, _ := signature.Parse(fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"%0523900d"}`, n)) // each takes all the room
		if err := signature.Write(t.Context(), repository, subject, junk, time.UnixMilli(int64(n))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.open(catalog.Options{}).Sign(t.Context(), heads[0].Name, *ours); err != nil {
		t.Fatal(err)
	}
	other := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, ours)})
	if result := w.publish(other, w.push("team/last", "1", "2"), catalog.PublishOptions{Sign: ours, NoAttach: true}); !result.Snapshot {
		t.Fatal("no snapshot")
	}
	cold := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, ours)})
	requests := w.counter.during(func() {
		if item, err := cold.Get(t.Context(), heads[0].Name, catalog.GetOptions{}); err != nil || item.Verdict != entry.VerdictVerified {
			t.Errorf("%q, %v", item.Verdict, err)
		}
	})
	if text := fmt.Sprint(requests); strings.Contains(text, "/referrers/") {
		t.Errorf("the signature was looked up, so no snapshot carries it: %s", text)
	}
}
