package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// verdicts are those of an evaluation, by name.
func verdicts(e *serving.Evaluation) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.Findings)) {
		f := e.Findings[name]
		text := fmt.Sprintf("%s %s", name, f.Verdict)
		if f.Stale {
			text += " stale"
		}
		if (f.Err == nil) != (f.Verdict == entry.VerdictVerified) {
			text += fmt.Sprintf(" (%v)", f.Err)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func look(t *testing.T, c *catalog.Catalog) serving.View {
	t.Helper()
	l, err := c.ForServer().Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func evaluate(t *testing.T, l serving.View, options serving.EvaluateOptions) *serving.Evaluation {
	t.Helper()
	e, err := l.Evaluate(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// An evaluation takes over what still stands, looks into the rest, and under
// another policy takes over nothing.
func TestEvaluationsFollowEachOther(t *testing.T) {
	w := newWorld(t, true, nil)
	owner, stranger := team(t), team(t)
	writer := w.open(catalog.Options{})
	for name, by := range map[string]*catalog.Signing{"a": owner, "b": stranger, "c": nil} {
		w.publish(writer, w.push("os/"+name, "1", name), catalog.PublishOptions{Name: name, Sign: by, NoAttach: true})
	}
	policy := trusting(t, owner)
	c := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: policy})
	l := look(t, c)
	offline := evaluate(t, l, serving.EvaluateOptions{Offline: true})
	if got := verdicts(offline); got != "a unknown, b unknown, c unknown" || offline.Policy != policy {
		t.Errorf("without asking: %s", got)
	}
	const all = "a verified, b untrusted, c unsigned"
	first := evaluate(t, l, serving.EvaluateOptions{Before: offline, Renew: time.Hour})
	if got := verdicts(first); got != all {
		t.Errorf("found %s, want %s", got, all)
	}
	var second *serving.Evaluation
	if requests := w.counter.during(func() { second = evaluate(t, l, serving.EvaluateOptions{Before: first, Renew: time.Hour}) }); len(requests) > 0 || second != first {
		t.Errorf("nothing is new, and %v were asked for", requests)
	}
	third := evaluate(t, l, serving.EvaluateOptions{Before: first})
	if third == first || verdicts(third) != all {
		t.Errorf("looked into again: %s", verdicts(third))
	}
	if _, err := writer.Sign(t.Context(), "c", *owner); err != nil {
		t.Fatal(err)
	}
	if got := verdicts(evaluate(t, l, serving.EvaluateOptions{Before: without(first, "c"), Renew: time.Hour})); got != "a verified, b untrusted, c verified" {
		t.Errorf("what was signed since: %s", got)
	}
	if err := c.ForServer().SetPolicy(trusting(t, stranger)); err != nil {
		t.Fatal(err)
	}
	if got := verdicts(evaluate(t, l, serving.EvaluateOptions{Before: first, Renew: time.Hour})); got != "a untrusted, b verified, c untrusted" {
		t.Errorf("under another policy: %s", got)
	}
	if requests := w.counter.during(func() { second = evaluate(t, l, serving.EvaluateOptions{Before: first, Offline: true}) }); len(requests) > 0 || strings.Contains(verdicts(second), "a verified") {
		t.Errorf("under another policy, without asking: %s after %v", verdicts(second), requests)
	}
}

// What cannot be found out again stays what it was, and is marked.
func TestEvaluationWithoutItsRegistry(t *testing.T) {
	var away atomic.Bool
	w := newWorld(t, true, func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
			if away.Load() {
				answer.WriteHeader(http.StatusInternalServerError)
				return
			}
			inner.ServeHTTP(answer, r)
		})
	})
	owner := team(t)
	writer := w.open(catalog.Options{})
	for name, by := range map[string]*catalog.Signing{"a": owner, "b": nil} {
		w.publish(writer, w.push("os/"+name, "1", name), catalog.PublishOptions{Name: name, Sign: by, NoAttach: true})
	}
	l := look(t, w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner)}))
	first := evaluate(t, l, serving.EvaluateOptions{})
	away.Store(true)
	second := evaluate(t, l, serving.EvaluateOptions{Before: first})
	if got := verdicts(second); got != "a verified, b unsigned stale" {
		t.Errorf("without the registry: %s", got)
	}
	away.Store(false)
	if got := verdicts(evaluate(t, l, serving.EvaluateOptions{Before: second})); got != "a verified, b unsigned" {
		t.Errorf("with it again: %s", got)
	}
}

// A policy only takes the place of another.
func TestSetPolicy(t *testing.T) {
	w := newWorld(t, true, nil)
	without, under := w.open(catalog.Options{}), w.open(catalog.Options{Policy: trusting(t, team(t))})
	if err := without.ForServer().SetPolicy(trusting(t, team(t))); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("where there is none: %v, want invalid", err)
	}
	if err := under.ForServer().SetPolicy(nil); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("none: %v, want invalid", err)
	}
	w.publish(without, w.push("os/a", "1", "a"), catalog.PublishOptions{Name: "a", NoAttach: true})
	if _, err := look(t, without).Evaluate(t.Context(), serving.EvaluateOptions{}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("evaluated without a policy: %v, want invalid", err)
	}
}

// plant writes unsigned entries into the catalog whose images nobody has.
func (w *world) plant(count int) {
	w.t.Helper()
	for n := range count {
		packed, err := revision.Pack(&revision.Document{
			Name: fmt.Sprintf("e%03d", n), Source: entry.Source{Type: entry.SourceManual}, PublishedAt: entry.NewTime(time.Now()),
			Image: revision.Image{Reference: w.host + "/os/none:1", Digest: digest.FromString("none"), MediaType: ocispec.MediaTypeImageManifest, Size: 1},
		}, revision.Seen{})
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(packed)
	}
}

// lookedUp counts the revisions whose signatures were looked up.
func lookedUp(requests []string) (count int) {
	for _, request := range requests {
		if strings.HasSuffix(request, ".sig") {
			count++
		}
	}
	return count
}

// Everything is looked up once, however much it is; what is old, in turns; and
// what a request makes a server look up is bounded.
func TestEvaluationsAreBounded(t *testing.T) {
	w := newWorld(t, false, nil)
	w.plant(300)
	l := look(t, w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, team(t))}))
	offline := evaluate(t, l, serving.EvaluateOptions{Offline: true})
	var first, second *serving.Evaluation
	requests := lookedUp(w.counter.during(func() { first = evaluate(t, l, serving.EvaluateOptions{Before: offline, Renew: time.Hour}) }))
	if got := verdicts(first); requests != 300 || strings.Count(got, " unsigned") != 300 {
		t.Errorf("after %d lookups: %.500s", requests, got)
	}
	requests = lookedUp(w.counter.during(func() { second = evaluate(t, l, serving.EvaluateOptions{Before: first}) }))
	if requests != 256 {
		t.Errorf("%d are looked up again, want 256", requests)
	}
	if requests = lookedUp(w.counter.during(func() { evaluate(t, l, serving.EvaluateOptions{Before: second}) })); requests != 256 {
		t.Errorf("%d are looked up the third time, want 256", requests)
	}
	for what, ask := range map[string]func() (refused int, err error){
		"history": func() (int, error) { _, err := l.History(t.Context(), ""); return 300, err },
		"as of": func() (int, error) {
			_, refused, err := l.List(t.Context(), serving.ListOptions{AsOf: time.Now().Add(time.Hour)})
			return refused, err
		},
	} {
		var refused int
		var err error
		if requests := lookedUp(w.counter.during(func() { refused, err = ask() })); requests > 64 || requests == 0 {
			t.Errorf("%s: %d lookups, want some and no more than 64", what, requests)
		}
		if err != nil || refused != 300 {
			t.Errorf("%s: %d refused, %v; want 300", what, refused, err)
		}
	}
}

// What was looked into before the time was over is not looked into again before
// the rest: so entries that take long do not hide the others for good.
func TestEvaluationThatIsCutOff(t *testing.T) {
	var last atomic.Pointer[digest.Digest]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if d := last.Load(); d != nil && strings.Contains(r.URL.Path, "/referrers/") {
				if strings.HasSuffix(r.URL.Path, d.String()) {
					cancel()
				}
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	const count = lookupsAtOnce + 5
	writer := w.open(catalog.Options{})
	w.fill(writer, count, nil)
	l := look(t, w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, team(t))}))
	last.Store(&l.Live()[count-1].Revision)
	first, err := l.Evaluate(ctx, serving.EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	requests := w.counter.during(func() { evaluate(t, l, serving.EvaluateOptions{Before: first, Renew: time.Hour}) })
	asked := 0
	for _, request := range requests {
		if strings.Contains(request, "/referrers/") {
			asked++
		}
	}
	if asked == 0 || asked > lookupsAtOnce {
		t.Errorf("%d of %d entries were looked into again, want those that were under way, at most %d", asked, count, lookupsAtOnce)
	}
}

const lookupsAtOnce = 16

func without(e *serving.Evaluation, name string) *serving.Evaluation {
	rest := maps.Clone(e.Findings)
	delete(rest, name)
	return &serving.Evaluation{Policy: e.Policy, Findings: rest}
}
