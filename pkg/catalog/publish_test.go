package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

func names(t *testing.T, c *catalog.Catalog) []string {
	t.Helper()
	page, err := c.List(t.Context(), catalog.ListOptions{Query: entry.Query{Sort: entry.SortName}})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, item := range page.Items {
		all = append(all, item.Name)
	}
	return all
}

func writes(requests []string) (found []string) {
	for _, request := range requests {
		if !strings.HasPrefix(request, "GET ") && !strings.HasPrefix(request, "HEAD ") {
			found = append(found, request)
		}
	}
	return found
}

func TestPublishingTheSameAgainChangesNothing(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	options := catalog.PublishOptions{Version: "1", Tags: []string{"a"}, Labels: map[string]string{"k": "v"}}
	first := w.publish(w.open(catalog.Options{Author: "alice"}), image, options)
	var second catalog.PublishResult
	c := w.open(catalog.Options{Author: "bob"})
	requests := w.counter.during(func() { second = w.publish(c, image, options) })
	if first.Outcome != catalog.Published || second.Outcome != catalog.Unchanged {
		t.Errorf("%s, then %s", first.Outcome, second.Outcome)
	}
	if wrote := writes(requests); len(wrote) > 0 {
		t.Errorf("the second publication wrote: %v", wrote)
	}
	if diff := cmp.Diff(first.Item, second.Item); diff != "" {
		t.Error(diff)
	}
	options.Tags = []string{"b"}
	if third := w.publish(c, image, options); third.Outcome != catalog.Published {
		t.Errorf("with another tag: %s", third.Outcome)
	}
}

func TestPublishingRefuses(t *testing.T) {
	w := newWorld(t, true, nil)
	image, other := w.push("os/autosd", "1", "1"), w.push("os/other", "1", "2")
	setup := w.open(catalog.Options{})
	w.publish(setup, image, catalog.PublishOptions{})
	for _, tt := range []struct {
		name  string
		image string
		add   string // instead of publish
		with  catalog.PublishOptions
		want  error
	}{
		{"an image under a second name", image, "", catalog.PublishOptions{Name: "another"}, entry.ErrConflict},
		{"the same image in another spelling", strings.Replace(image, ":", ":0", 1), "", catalog.PublishOptions{Name: "another"}, entry.ErrConflict},
		{"adding an image under a second name", image, "another", catalog.PublishOptions{}, entry.ErrConflict},
		{"adding to a live name", other, "autosd", catalog.PublishOptions{}, entry.ErrConflict},
		{"another digest than the pinned one", other, "", catalog.PublishOptions{Digest: digest.FromString("x")}, entry.ErrConflict},
		{"an image that does not exist", w.host + "/os/none:1", "", catalog.PublishOptions{}, entry.ErrNotFound},
		{"a tag that does not exist", w.host + "/os/other:none", "", catalog.PublishOptions{}, entry.ErrNotFound},
		{"a name that is none", other, "", catalog.PublishOptions{Name: "No Name"}, entry.ErrInvalid},
		{"a reference that is none", "http://x/y", "", catalog.PublishOptions{}, entry.ErrInvalid},
		{"an escape sequence in a description", other, "", catalog.PublishOptions{Description: "\x1b[2J"}, entry.ErrInvalid},
		{"a tag with a space", other, "", catalog.PublishOptions{Tags: []string{"a b"}}, entry.ErrInvalid},
		{"a label that is too long", other, "", catalog.PublishOptions{Labels: map[string]string{"k": strings.Repeat("x", 2000)}}, entry.ErrInvalid},
		{"a build with a user in its URL", other, "", catalog.PublishOptions{Build: entry.Build{URL: "https://me:secret@ci.example.com/1"}}, entry.ErrInvalid},
		{"a build mode that is none", other, "", catalog.PublishOptions{Metadata: entry.Metadata{BuildMode: "x"}}, entry.ErrInvalid},
		{"a registry that is away", "127.0.0.1:1/os/image:1", "", catalog.PublishOptions{}, entry.ErrUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := w.open(catalog.Options{})
			var err error
			requests := w.counter.during(func() {
				if tt.add != "" {
					_, err = c.Add(t.Context(), tt.add, tt.image, tt.with)
				} else {
					_, err = c.Publish(t.Context(), tt.image, tt.with)
				}
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if wrote := writes(requests); len(wrote) > 0 {
				t.Errorf("it wrote: %v", wrote)
			}
		})
	}
	if diff := cmp.Diff([]string{"autosd"}, names(t, setup)); diff != "" {
		t.Error(diff)
	}
}

func TestTwoWritersOfOneNameLeaveOneEntry(t *testing.T) {
	w := newWorld(t, true, nil)
	images := []string{w.push("os/a", "1", "1"), w.push("os/b", "1", "2")}
	at := time.Now()
	errs := make([]error, len(images))
	var group sync.WaitGroup
	for i, image := range images {
		c := w.open(catalog.Options{Now: func() time.Time { return at }})
		group.Go(func() { _, errs[i] = c.Publish(t.Context(), image, catalog.PublishOptions{Name: "same"}) })
	}
	testwait.Return(t, "both writers", group.Wait)
	for _, err := range errs { // one after the other is no conflict
		if err != nil && !errors.Is(err, entry.ErrConflict) || errs[0] != nil && errs[1] != nil {
			t.Errorf("errors %v, want none, or one conflict", errs)
		}
	}
	var live []string
	for range 5 {
		page, err := w.open(catalog.Options{}).List(t.Context(), catalog.ListOptions{})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("%d entries, %v", len(page.Items), err)
		}
		live = append(live, string(page.Items[0].Revision))
	}
	for _, revision := range live[1:] {
		if revision != live[0] {
			t.Errorf("readers disagree: %v", live)
		}
	}
}

func TestASlowClockCannotPublishIntoThePast(t *testing.T) {
	w := newWorld(t, true, nil)
	at := time.Now()
	now := w.open(catalog.Options{Now: func() time.Time { return at }})
	slow := w.open(catalog.Options{Now: func() time.Time { return at.Add(-30 * time.Minute) }})
	w.publish(now, w.push("os/autosd", "1", "1"), catalog.PublishOptions{Version: "1"})
	w.publish(slow, w.push("os/autosd", "2", "2"), catalog.PublishOptions{Version: "2"})
	item, err := w.open(catalog.Options{}).Get(t.Context(), "autosd", catalog.GetOptions{})
	if err != nil || item.Version != "2" {
		t.Errorf("version %q, %v: want the later publication", item.Version, err)
	}
}

func TestVersionsStayReadableUntilTheEntryEnds(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{Fresh: -1})
	for _, version := range []string{"1", "2", "3"} {
		w.publish(c, w.push("os/autosd", version, version), catalog.PublishOptions{Version: version})
	}
	item, err := c.Get(t.Context(), "autosd", catalog.GetOptions{Version: "2"})
	if err != nil || !strings.HasSuffix(item.RegistryURL, ":2") {
		t.Errorf("%s, %v", item.RegistryURL, err)
	}
	if _, err := c.Remove(t.Context(), "autosd", catalog.RemoveOptions{Reason: "done"}); err != nil {
		t.Fatal(err)
	}
	for _, options := range []catalog.GetOptions{{}, {Version: "2"}} {
		if _, err := c.Get(t.Context(), "autosd", options); !errors.Is(err, entry.ErrNotFound) {
			t.Errorf("%+v after removal: %v, want not found", options, err)
		}
	}
	if _, err := c.Remove(t.Context(), "autosd", catalog.RemoveOptions{}); !errors.Is(err, entry.ErrNotFound) {
		t.Errorf("removing twice: %v", err)
	}
	events, err := c.History(t.Context(), "autosd")
	if err != nil || len(events) != 4 || events[3].Operation != "remove" || events[3].Ends != events[2].Revision || events[3].Reason != "done" {
		t.Errorf("history %+v, %v", events, err)
	}
}

func TestAttachingSaysWhatHappened(t *testing.T) {
	inImage := func(r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/v2/os/") && r.Method != http.MethodGet && r.Method != http.MethodHead
	}
	answer := func(status int) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			armed := false
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Arm") != "" {
					armed = true
				}
				if armed && inImage(r) {
					rw.WriteHeader(status)
					return
				}
				next.ServeHTTP(rw, r)
			})
		}
	}
	for _, tt := range []struct {
		name string
		wrap func(http.Handler) http.Handler
		want catalog.Outcome
	}{
		{"taken", nil, catalog.Attached},
		{"not ours to write", answer(http.StatusForbidden), catalog.Outcome("not writable")},
		{"refused", answer(http.StatusBadRequest), catalog.Outcome("refused")},
		{"registry ill", answer(http.StatusInternalServerError), catalog.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, true, tt.wrap)
			image := w.push("os/autosd", "1", "1")
			request, _ := http.NewRequest(http.MethodGet, "http://"+w.host+"/v2/", nil)
			request.Header.Set("X-Arm", "1")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
			if result.Outcome != catalog.Published || result.Attachment.Outcome != tt.want {
				t.Errorf("%s, attachment %+v; want published and %s", result.Outcome, result.Attachment, tt.want)
			}
		})
	}
}
