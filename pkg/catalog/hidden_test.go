package catalog_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// hiding refuses to show the catalog's repository until something is written to
// it, and for as long as always is set.
type hiding struct {
	status       int
	kind, body   string
	refuseWrites bool
	always       atomic.Bool
	exists       atomic.Bool
}

func (h *hiding) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ours := strings.HasPrefix(r.URL.Path, "/v2/team/catalog/")
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if ours && (reads && (!h.exists.Load() || h.always.Load()) || !reads && h.refuseWrites) {
			w.Header().Set("Content-Type", h.kind)
			w.WriteHeader(h.status)
			_, _ = io.WriteString(w, h.body)
			return
		}
		if ours && r.Method == http.MethodPut {
			h.exists.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

// D7: what hides a repository that does not exist yet lets a catalog be begun
// there, by who says so.
func TestInitBeginsWhatIsHidden(t *testing.T) {
	for name, h := range map[string]*hiding{
		"401":                       {status: 401},
		"403":                       {status: 403, kind: "application/json", body: `{"errors":[{"code":"DENIED"}]}`},
		"404 with an empty body":    {status: 404},
		"404 with a page":           {status: 404, kind: "text/html", body: "<html>Not Found</html>"},
		"404 in plain text":         {status: 404, kind: "text/plain", body: "no such project"},
		"404 that denies":           {status: 404, kind: "application/json", body: `{"errors":[{"code":"DENIED"}]}`},
		"404 with another's object": {status: 404, kind: "application/json", body: `{"message":"nothing"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true, h.wrap)
			image := w.push("os/autosd", "1", "1")
			var hidden *catalog.HiddenError
			requests := w.counter.during(func() {
				_, err := w.open(catalog.Options{}).Publish(t.Context(), image, catalog.PublishOptions{})
				if !errors.As(err, &hidden) || hidden.Catalog != w.host+"/team/catalog" || errors.Is(err, entry.ErrNotFound) {
					t.Errorf("without Init: %v, want a HiddenError", err)
				}
			})
			for _, request := range writes(requests) {
				if strings.HasPrefix(request, "PUT ") {
					t.Errorf("without Init it wrote %s", request)
				}
			}
			if _, err := w.open(catalog.Options{}).List(t.Context(), catalog.ListOptions{}); err == nil || errors.As(err, &hidden) {
				t.Errorf("the list: %v, want the refusal alone", err)
			}
			result, err := w.open(catalog.Options{}).Publish(t.Context(), image, catalog.PublishOptions{Init: true})
			if err != nil || result.Outcome != catalog.Published {
				t.Fatalf("with Init: %s, %v", result.Outcome, err)
			}
			if got := names(t, w.open(catalog.Options{})); len(got) != 1 {
				t.Errorf("live: %v, want the entry", got)
			}
		})
	}
}

// Where no upload may begin either, Init is of no use, and not named.
func TestInitNeedsAnUpload(t *testing.T) {
	h := &hiding{status: 403, refuseWrites: true}
	w := newWorld(t, true, h.wrap)
	image := w.push("os/autosd", "1", "1")
	for _, init := range []bool{false, true} {
		_, err := w.open(catalog.Options{}).Publish(t.Context(), image, catalog.PublishOptions{Init: init})
		var hidden *catalog.HiddenError
		if !errors.Is(err, entry.ErrUnauthorized) || errors.As(err, &hidden) {
			t.Errorf("init %t: %v, want the refusal alone", init, err)
		}
	}
}

// A catalog that can be read is not begun anew, and one that this reader saw is
// not empty because it is hidden now. What does not answer is not hidden.
func TestInitLeavesWhatIsThere(t *testing.T) {
	h := &hiding{status: 403}
	h.exists.Store(true)
	w := newWorld(t, true, h.wrap)
	image := w.push("os/autosd", "1", "1")
	state := t.TempDir()
	open := func() *catalog.Catalog { return w.open(catalog.Options{StateDir: state}) }
	w.publish(open(), image, catalog.PublishOptions{Init: true})
	if again := w.publish(open(), image, catalog.PublishOptions{Init: true}); again.Outcome != catalog.Unchanged {
		t.Errorf("with Init again: %s, want unchanged", again.Outcome)
	}
	_, err := open().Add(t.Context(), "autosd", image, catalog.PublishOptions{Init: true})
	if !errors.Is(err, entry.ErrConflict) {
		t.Errorf("a second of the name: %v, want a conflict", err)
	}
	h.always.Store(true)
	if result, err := open().Publish(t.Context(), image, catalog.PublishOptions{Init: true, Version: "2"}); !errors.Is(err, entry.ErrUnauthorized) {
		t.Errorf("a known catalog that is hidden now: %s, %v, want unauthorized", result.Outcome, err)
	}
	h.status = 501
	if result, err := w.open(catalog.Options{}).Publish(t.Context(), image, catalog.PublishOptions{Init: true}); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("a catalog that does not answer: %s, %v, want unreachable", result.Outcome, err)
	}
}

// A dry run begins no upload unless it is to begin a catalog.
func TestInitInADryRun(t *testing.T) {
	h := &hiding{status: 403}
	w := newWorld(t, true, h.wrap)
	image := w.push("os/autosd", "1", "1")
	requests := w.counter.during(func() {
		if _, err := w.open(catalog.Options{}).Publish(t.Context(), image, catalog.PublishOptions{DryRun: true}); !errors.Is(err, entry.ErrUnauthorized) {
			t.Errorf("%v, want unauthorized", err)
		}
	})
	if wrote := writes(requests); len(wrote) > 0 {
		t.Errorf("a dry run asked %v", wrote)
	}
	if result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{DryRun: true, Init: true}); result.Outcome != catalog.Planned || h.exists.Load() {
		t.Errorf("%s, and the repository exists: %t; want a plan alone", result.Outcome, h.exists.Load())
	}
}
