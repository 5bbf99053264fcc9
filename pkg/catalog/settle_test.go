package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// interruption lets somebody else act in the middle of a publication: before the
// tag of "mine" commits, before that of its removal does, or before the log is
// read so many times after the first.
type interruption struct {
	mu        sync.Mutex
	commits   func()
	withdraws func()
	reads     func()
	countdown int
}

func (i *interruption) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		i.next(r)()
		next.ServeHTTP(rw, r)
	})
}

// next returns what happens before a request, once.
func (i *interruption) next(r *http.Request) (do func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do = func() {}
	switch {
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/mine.") && i.commits != nil:
		do, i.commits = i.commits, nil
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/mine.") && strings.Contains(r.URL.Path, ".r") && i.withdraws != nil:
		do, i.withdraws = i.withdraws, nil
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/tags/list") && i.commits == nil && i.reads != nil:
		if i.countdown--; i.countdown == 0 {
			do, i.reads = i.reads, nil
		}
	}
	return do
}

// Two publishers that see each other only once both have written: design, section
// 5, the table of step 5.
func TestPublishersSettle(t *testing.T) {
	earlier, later := -time.Minute, time.Minute
	for _, tt := range []struct {
		name   string
		clock  time.Duration // of the other, against this one's
		before bool          // "mine" is live already, with another image
		same   string        // name under which the other publishes the image; "" is another image as "mine"
		leaves bool          // the other is withdrawn after a while
		err    string        // "" is none
		live   []string
	}{
		{"another revision decides the name", later, false, "", false, `conflict: entry "mine" was published by somebody else at the same time: mine.`, []string{"mine"}},
		{"an earlier entry has the image", earlier, false, "other", false, `; "mine" was withdrawn`, []string{"other"}},
		{"an earlier one has it, and the name was live", earlier, true, "other", false, ` is published twice now, as "other" and as "mine"`, []string{"mine", "other"}},
		{"a later one has it, and stays", later, false, "other", false, `; "mine" was withdrawn`, []string{"other"}},
		{"a later one has it, and the name was live", later, true, "other", false, ` is published twice now, as "other" and as "mine"`, []string{"mine", "other"}},
		{"a later one has it, and is withdrawn", later, false, "other", true, "", []string{"mine"}},
		{"an earlier revision of the name", earlier, false, "", false, "", []string{"mine"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			between := &interruption{}
			w := newWorld(t, true, between.wrap)
			now := time.Now()
			at := func(clock time.Duration) *catalog.Catalog {
				return w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(clock) }})
			}
			image, another := w.push("os/image", "1", "1"), w.push("os/another", "1", "2")
			if tt.before {
				w.publish(at(2*earlier), another, catalog.PublishOptions{Name: "mine"})
			}
			other := at(tt.clock)
			var done error
			between.commits = func() {
				if tt.same == "" {
					image = another
				}
				_, done = other.Publish(t.Context(), image, catalog.PublishOptions{Name: either(tt.same, "mine")})
				if tt.leaves {
					between.reads, between.countdown = func() {
						_, err := other.Remove(t.Context(), tt.same, catalog.RemoveOptions{})
						done = errors.Join(done, err)
					}, 2
				}
			}
			result, err := at(0).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine"})
			if done != nil {
				t.Fatalf("the other: %v", done)
			}
			checkConflict(t, err, tt.err, either(tt.same, "mine"))
			if diff := cmp.Diff(tt.live, names(t, at(0))); diff != "" {
				t.Errorf("live (-want +got):\n%s", diff)
			}
			if strings.Contains(tt.err, "withdrawn") {
				checkWithdrawn(t, at(0), result)
			}
		})
	}
}

// checkConflict checks what an error says, and that it is a conflict with an entry;
// "" is no error.
func checkConflict(t *testing.T, err error, says, with string) {
	t.Helper()
	conflict, _ := errors.AsType[*catalog.ConflictError](err)
	switch {
	case says == "" && err != nil, says != "" && (!errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), says)):
		t.Errorf("error %v, want %q", err, says)
	case says != "" && (conflict == nil || conflict.Name != with):
		t.Errorf("the error names %+v, want %s", conflict, with)
	}
}

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// checkWithdrawn checks that a removal of the very time of the publication ends it.
func checkWithdrawn(t *testing.T, c *catalog.Catalog, result catalog.PublishResult) {
	t.Helper()
	events, err := c.History(t.Context(), "mine")
	if err != nil || len(events) != 2 {
		t.Fatalf("history %+v, %v; want a publication and its removal", events, err)
	}
	if !events[0].At.Equal(events[1].At.Time) || events[1].Operation != "remove" || events[1].Reason != "withdrawn: its image is published as other already" {
		t.Errorf("history %+v, want a removal at the time of the publication", events)
	}
	if result.Attachment.Outcome != catalog.Skipped {
		t.Errorf("attachment %+v of what was withdrawn, want none", result.Attachment)
	}
}

// Of a name that somebody publishes meanwhile, a withdrawal ends nothing.
func TestAWithdrawalEndsNothingLater(t *testing.T) {
	between := &interruption{}
	w := newWorld(t, true, between.wrap)
	now := time.Now()
	at := func(clock time.Duration) *catalog.Catalog {
		return w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(clock) }})
	}
	image, another := w.push("os/image", "1", "1"), w.push("os/another", "1", "2")
	var first, second error
	between.commits = func() {
		_, first = at(-time.Minute).Publish(t.Context(), image, catalog.PublishOptions{Name: "other"})
		between.withdraws = func() { _, second = at(0).Publish(t.Context(), another, catalog.PublishOptions{Name: "mine"}) }
	}
	if _, err := at(0).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine"}); !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), "withdrawn") {
		t.Errorf("error %v, want that it was withdrawn", err)
	}
	if err := errors.Join(first, second); err != nil {
		t.Fatalf("the others: %v", err)
	}
	if diff := cmp.Diff([]string{"mine", "other"}, names(t, at(0))); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
}

// A publication that is dated anew, because another one of its name has the same time,
// says what it loses once. Of two with the same time, their hashes decide which is the
// later one: only that is dated anew.
func TestATiedPublicationWarnsOnce(t *testing.T) {
	const rounds = 40
	for range rounds {
		result, revisions, err := publishTied(t)
		if errors.Is(err, entry.ErrConflict) {
			continue // the other one is later
		}
		if err != nil || revisions != 4 {
			t.Fatalf("%d revisions, error %v; want 4: the one before, two of the same time, and the one that was dated anew", revisions, err)
		}
		var said []string
		for _, warning := range result.Warnings {
			said = append(said, warning.Err.Error())
		}
		if diff := cmp.Diff([]string{`entry "mine" loses: description`}, said); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		return
	}
	t.Errorf("the other publication was the later one %d times", rounds)
}

// publishTied publishes an entry once more while somebody else publishes it with the
// same time, and counts its revisions then.
func publishTied(t *testing.T) (result catalog.PublishResult, revisions int, err error) {
	t.Helper()
	between := &interruption{}
	w := newWorld(t, true, between.wrap)
	now := time.Now()
	at := func(clock time.Duration) *catalog.Catalog {
		return w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(clock) }})
	}
	image, another := w.push("os/image", "1", "1"), w.push("os/another", "1", "2")
	if _, err := at(-time.Minute).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine", Description: "said before"}); err != nil {
		t.Fatal(err)
	}
	var tied error
	between.commits = func() { _, tied = at(0).Publish(t.Context(), another, catalog.PublishOptions{Name: "mine"}) }
	result, err = at(0).Publish(t.Context(), image, catalog.PublishOptions{Name: "mine", Version: "2"})
	if tied != nil {
		t.Fatalf("the other: %v", tied)
	}
	events, failed := at(0).History(t.Context(), "mine")
	return result, len(events), errors.Join(err, failed)
}
