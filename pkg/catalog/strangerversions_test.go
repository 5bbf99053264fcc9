package catalog_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// crowded makes a catalog with a name that its team published before and after so many
// strangers published and removed it, and returns who reads it: as a new process with
// the state of the ones before, under the policy or not.
func crowded(t *testing.T, strangers int) (w *world, reader func(policy bool, warn func(catalog.Warning)) *catalog.Catalog) {
	t.Helper()
	w = newWorld(t, true, nil)
	owner, now, state := team(t), time.Now(), t.TempDir()
	one, two := w.push("os/app", "1", "1"), w.push("os/app", "2", "2")
	image := w.described("os/app", "1")
	publish := func(ago time.Duration, image, version string) {
		c := w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(-ago) }})
		w.publish(c, image, catalog.PublishOptions{Name: "app", Version: version, Sign: owner, NoAttach: true})
	}
	publish(45*time.Minute, one, "1")
	for i := range strangers {
		w.forge(revision.Document{Name: "app", Version: fmt.Sprintf("9.%d", i), Image: image}, now.Add(-30*time.Minute+time.Duration(i)*time.Millisecond))
	}
	publish(time.Minute, two, "2")
	reader = func(policy bool, warn func(catalog.Warning)) *catalog.Catalog {
		o := catalog.Options{StateDir: state, Warn: warn}
		if policy {
			o.Policy = trusting(t, owner)
		}
		return w.open(o)
	}
	if _, err := reader(false, nil).History(t.Context(), "app"); err != nil { // what they say is read once
		t.Fatal(err)
	}
	return w, reader
}

// However many strangers publish a name, whoever reads its versions or its history under
// a policy looks up few of them, others the next time, and is told how many are left. The
// team's own are there all the time.
func TestStrangersCostAReaderLittle(t *testing.T) {
	const strangers, most = 150, 2*64 + 12
	for _, tt := range []struct {
		name string
		read func(*catalog.Catalog) (verified, unknown int, err error)
	}{
		{"list --versions", func(c *catalog.Catalog) (verified, unknown int, err error) {
			page, err := c.List(t.Context(), catalog.ListOptions{Query: entry.Query{Versions: true}})
			for _, head := range page.Refused {
				if isKind(head.Err, entry.ErrUnreachable) {
					unknown++
				}
			}
			if len(page.Refused) > 2 {
				t.Errorf("%d refused, want the name, and once more where some are unknown", len(page.Refused))
			}
			return len(page.Items), unknown, err
		}},
		{"history", func(c *catalog.Catalog) (verified, unknown int, err error) {
			events, err := c.History(t.Context(), "app")
			for _, event := range events {
				switch event.Verdict {
				case entry.VerdictVerified:
					verified++
				case entry.VerdictUnknown:
					unknown = 1
				}
			}
			return verified, unknown, err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, reader := crowded(t, strangers)
			for run, unlooked := range []int{strangers - 64 + 1, strangers - 128 + 1, 0, 0} {
				var warned strings.Builder
				c := reader(true, func(w catalog.Warning) { fmt.Fprintln(&warned, w.Err) })
				var verified, unknown int
				var err error
				requests := w.counter.during(func() { verified, unknown, err = tt.read(c) })
				t.Logf("run %d: %d requests", run, len(requests))
				if err != nil || len(requests) > most {
					t.Errorf("run %d: %d requests, %v; want at most %d", run, len(requests), err, most)
				}
				if verified < 1 || run == 2 && verified != 2 || (unknown > 0) != (unlooked > 0) {
					t.Errorf("run %d: %d verified, unknown %d; want both of the team's in the end, and some unknown until then", run, verified, unknown)
				}
				if said := warned.String(); strings.Contains(said, "were not looked up") != (unlooked > 0) {
					t.Errorf("run %d: warned %q, want how many are left (about %d)", run, said, unlooked)
				}
				if run == 3 && len(requests) > 4 {
					t.Errorf("once all were looked up: %d requests, want no more of the kind:\n%s", len(requests), strings.Join(requests, "\n"))
				}
			}
		})
	}
}

// What a removal of which nobody can tell may have ended is not shown without a word.
func TestUnknownRemovalsAreTold(t *testing.T) {
	refusing := &refusal{}
	w, owner, now := newWorld(t, true, refusing.wrap), team(t), time.Now()
	one, two := w.push("os/app", "1", "1"), w.push("os/app", "2", "2")
	at := func(ago time.Duration) *catalog.Catalog {
		return w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner), Now: func() time.Time { return now.Add(-ago) }})
	}
	w.publish(at(30*time.Minute), one, catalog.PublishOptions{Name: "app", Version: "1", Sign: owner})
	removed, err := at(20*time.Minute).Remove(t.Context(), "app", catalog.RemoveOptions{Sign: owner})
	if err != nil {
		t.Fatal(err)
	}
	w.publish(at(10*time.Minute), two, catalog.PublishOptions{Name: "app", Version: "2", Sign: owner})
	refusing.path.Store("/referrers/" + removed.Event.Revision.String())
	page, err := at(0).List(t.Context(), catalog.ListOptions{Query: entry.Query{Versions: true}})
	if err != nil || len(page.Refused) != 1 || !isKind(page.Refused[0].Err, entry.ErrUnreachable) {
		t.Errorf("%d versions, refused %+v, %v; want the removal among what is refused, as unknown", len(page.Items), page.Refused, err)
	}
	if _, err := at(0).Get(t.Context(), "app", catalog.GetOptions{Version: "1"}); err == nil {
		t.Error("version 1 is handed out, and whether it was ended is not known")
	}
}

// refusal refuses what is asked for under paths that contain one; "" is none.
type refusal struct{ path atomic.Value }

func (r *refusal) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, request *http.Request) {
		if path, _ := r.path.Load().(string); path != "" && strings.Contains(request.URL.Path, path) {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(rw, request)
	})
}
