package health_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	published = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	nightly   = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{}}`
)

func answerManifest(w http.ResponseWriter, r *http.Request, manifest string) {
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w.Header().Set("Docker-Content-Digest", digest.FromString(manifest).String())
	w.Header().Set("Content-Length", fmt.Sprint(len(manifest)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, manifest)
	}
}

// A registry is asked for the digest, and once more for the tag, if there is one
// and the digest is there.
func TestProbeAsksForTheDigest(t *testing.T) {
	d := digest.FromString(published)
	for _, tt := range []struct {
		name, reference string
		tag             string // the manifest that the tag names; "" for none
		status          int    // of the tag, if it is not 200 or 404
		want            error
		asked           []string
	}{
		{"the tag stands", ":1", published, 0, nil, []string{"HEAD " + d.String(), "HEAD 1"}},
		{"the tag was moved", ":1", nightly, 0, health.ErrMoved, []string{"HEAD " + d.String(), "HEAD 1"}},
		{"the tag was moved, the digest was given", ":1@" + d.String(), nightly, 0, health.ErrMoved, []string{"HEAD " + d.String(), "HEAD 1"}},
		{"the tag was deleted", ":1", "", 0, health.ErrMoved, []string{"HEAD " + d.String(), "HEAD 1", "GET 1"}},
		{"the tag is refused", ":1", "", http.StatusUnauthorized, health.ErrTagUnknown, []string{"HEAD " + d.String(), "HEAD 1", "GET 1"}},
		{"no answer for the tag", ":1", "", http.StatusNotImplemented, health.ErrTagUnknown, []string{"HEAD " + d.String(), "HEAD 1", "GET 1"}},
		{"the default tag", "", published, 0, nil, []string{"HEAD " + d.String(), "HEAD latest"}},
		{"a digest only", "@" + d.String(), nightly, 0, nil, []string{"HEAD " + d.String()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			var mu sync.Mutex
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				_, reference, _ := strings.Cut(r.URL.Path, "/manifests/")
				asked = append(asked, r.Method+" "+reference)
				manifest := published
				if reference != d.String() {
					manifest = tt.tag
				}
				if manifest == "" {
					w.WriteHeader(cmp.Or(tt.status, http.StatusNotFound))
					return
				}
				answerManifest(w, r, manifest)
			}))
			t.Cleanup(server.Close)
			client, err := registry.New(registry.Options{Attempts: 1})
			if err != nil {
				t.Fatal(err)
			}
			item := &entry.Item{Name: "a", RegistryURL: strings.TrimPrefix(server.URL, "http://") + "/os/a" + tt.reference, Digest: d}
			if err := health.Registry(client.Open)(t.Context(), item); !errors.Is(err, tt.want) {
				t.Errorf("the probe says %v, want %v", err, tt.want)
			}
			mu.Lock()
			defer mu.Unlock()
			asked = slices.DeleteFunc(asked, func(request string) bool { return strings.HasSuffix(request, " ") }) // GET /v2/ for a challenge
			if diff := gocmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// conditionOf returns the condition of one type that an item has under a status, or nil.
func conditionOf(item entry.Item, s entry.Status, kind string) *entry.Condition {
	health.Apply(&item, &s)
	for _, c := range item.Conditions {
		if c.Type == kind {
			return &c
		}
	}
	return nil
}

// That a tag was moved is a condition of an entry that stays Available, and no
// failure. It stays over probes that did not learn what the tag names, and over
// restarts, and goes when the tag is put back.
func TestMovedTagIsACondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var news []bool
		failed := 0
		var mu sync.Mutex
		item := image(1, "registry.example.com")
		l := newLab(t, health.Options{
			Changed: func(_ health.Key, is bool) { mu.Lock(); defer mu.Unlock(); news = append(news, is) },
			Failed:  func(health.Key, error, bool) { mu.Lock(); defer mu.Unlock(); failed++ },
		}, item)
		var since entry.Time
		for _, answer := range []error{fmt.Errorf("%w: x", health.ErrMoved), fmt.Errorf("%w: x", health.ErrMoved), fmt.Errorf("%w: x", health.ErrTagUnknown)} {
			l.answers(answer)
			l.during(time.Hour)
			s := l.status(t, item)
			c := conditionOf(item, s, health.ConditionMoved)
			if s.Phase != entry.PhaseAvailable || s.Failures != 0 || c == nil || c.Status != "True" || c.Reason != health.ReasonTagMoved {
				t.Fatalf("after %v: status %+v with condition %+v, want Available and ReferenceMoved", answer, s, c)
			}
			if since.IsZero() {
				since = c.LastTransitionTime
			}
			if c.LastTransitionTime != since {
				t.Errorf("after %v: moved since %s, want %s", answer, c.LastTransitionTime, since)
			}
		}
		merged, _ := l.Merge("", nil)
		if c := conditionOf(item, health.Initial(&item, merged[0]), health.ConditionMoved); c == nil {
			t.Error("after a restart nothing says that the tag was moved")
		}
		if _, again := l.Merge("", map[string]*entry.Status{item.Name: {
			Name: item.Name, Revision: item.Revision, Phase: entry.PhaseAvailable, LastVerified: item.PublishedAt, Since: item.PublishedAt}}); !again {
			t.Error("that the tag was moved is not worth recording")
		}
		l.answers(nil)
		l.during(time.Hour)
		if c := conditionOf(item, l.status(t, item), health.ConditionMoved); c != nil {
			t.Errorf("the tag was put back: %+v", c)
		}
		mu.Lock()
		defer mu.Unlock()
		if !news[0] || news[1] || news[2] || failed != 0 {
			t.Errorf("told of news %v and of %d failures, want that it moved as news, once, and no failure", news, failed)
		}
	})
}

// What a registry said for certain stands while it does not answer, and over
// restarts, marked stale; its next answer counts.
func TestDefiniteAnswersStand(t *testing.T) {
	for _, c := range []struct {
		kind   error
		reason string
	}{
		{entry.ErrNotFound, health.ReasonManifestUnknown},
		{entry.ErrUnauthorized, health.ReasonUnauthorized},
		{entry.ErrMalformed, health.ReasonInvalidManifest},
	} {
		synctest.Test(t, func(t *testing.T) {
			item := image(1, "registry.example.com")
			l := newLab(t, health.Options{}, item)
			l.answers(fmt.Errorf("x: %w", c.kind))
			l.during(2 * time.Hour)
			before := l.status(t, item)
			l.answers(fmt.Errorf("x: %w", entry.ErrTimeout))
			for range 12 {
				l.during(time.Hour)
				s := l.status(t, item)
				if s.Phase != entry.PhaseFailed || s.Reason != c.reason || s.Message != before.Message || s.Since != before.Since || s.LastVerified != before.LastVerified || s.StaleSince == nil {
					t.Fatalf("%s, then no answer: %+v, want %+v and stale", c.reason, s, before)
				}
			}
			l.ProbeNow(t.Context(), health.KeyOf(&item)) // out of turn, too
			now := l.status(t, item)
			merged, news := l.Merge("", map[string]*entry.Status{item.Name: &before})
			if !news {
				t.Errorf("%s: that it is stale is not worth recording", c.reason)
			}
			restarted := newLab(t, health.Options{}, item)
			restarted.Follow(func(yield func(*entry.Item) bool) { yield(&item) }, map[health.Key]*entry.Status{health.KeyOf(&item): merged[0]})
			restarted.answers(errAway)
			restarted.during(12 * time.Hour)
			if s := restarted.status(t, item); s != now {
				t.Errorf("%s, after a restart: %+v, want %+v", c.reason, s, now)
			}
			if stale := conditionOf(item, now, health.ConditionStale); stale == nil || stale.Reason != health.ReasonNoAnswer {
				t.Errorf("%s, then no answer: condition %+v, want stale for want of an answer", c.reason, stale)
			}
			l.answers(nil)
			l.during(2 * time.Hour)
			if s := l.status(t, item); s.Phase != entry.PhaseAvailable || s.StaleSince != nil {
				t.Errorf("%s, and found again: %+v", c.reason, s)
			}
		})
	}
}

// What earlier probers recorded of a tag that was moved is read as it is, and the
// next probe, which asks for the digest, decides.
func TestRecordedDigestMismatchIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := image(1, "registry.example.com")
		recorded := entry.Status{Name: item.Name, Revision: item.Revision, Phase: entry.PhaseFailed, Reason: health.ReasonDigestMismatch,
			LastVerified: entry.NewTime(item.PublishedAt.Add(time.Minute)), Since: item.PublishedAt, Failures: 3}
		if s := health.Initial(&item, &recorded); s.Phase != entry.PhaseFailed || s.Reason != health.ReasonDigestMismatch || s.Message == "" {
			t.Errorf("read as %+v", s)
		}
		l := newLab(t, health.Options{}, item)
		l.Follow(func(yield func(*entry.Item) bool) { yield(&item) }, map[health.Key]*entry.Status{health.KeyOf(&item): &recorded})
		l.answers(fmt.Errorf("%w: x", health.ErrMoved))
		l.during(time.Hour)
		if s := l.status(t, item); s.Phase != entry.PhaseAvailable || s.Reason != "" || s.MovedSince == nil {
			t.Errorf("after a probe: %+v, want Available and moved", s)
		}
	})
}
