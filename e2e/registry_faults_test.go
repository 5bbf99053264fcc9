package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/e2e/faultproxy"
)

// Faults that pass: the client tries again, and the result is right.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for name, rules := range map[string][]*faultproxy.Rule{
		"429 with seconds":     {{Times: 2, Do: faultproxy.Action{Status: 429, RetryAfter: "1"}}},
		"429 with a date":      {{Times: 2, Do: faultproxy.Action{Status: 429, RetryAfter: past}}},
		"429 without a word":   {{Times: 3, Do: faultproxy.Action{Status: 429}}},
		"a burst of 500":       {{Times: 3, Do: faultproxy.Action{Status: 500}}},
		"a burst of 502":       {{Times: 3, Do: faultproxy.Action{Status: 502}}},
		"a burst of 503":       {{Times: 3, Do: faultproxy.Action{Status: 503, RetryAfter: "0"}}},
		"connections reset":    {{Times: 3, Do: faultproxy.Action{Reset: true}}},
		"a tag list cut":       {{Match: faultproxy.On("GET", "/tags/list"), Times: 2, Do: faultproxy.Action{Cut: true}}},
		"a tag list cut clean": {{Match: faultproxy.On("GET", "/tags/list"), Times: 2, Do: faultproxy.Action{CutClean: true}}},
		"manifests cut":        {{Match: faultproxy.On("GET", "/manifests/"), Times: 2, Do: faultproxy.Action{Cut: true}}},
		"manifests altered":    {{Match: faultproxy.On("GET", "/manifests/"), Times: 2, Do: faultproxy.Action{Alter: true}}},
		"blobs cut":            {{Match: faultproxy.On("GET", "/blobs/"), Times: 1, Do: faultproxy.Action{Cut: true}}},
		"blobs altered":        {{Match: faultproxy.On("GET", "/blobs/"), Times: 1, Do: faultproxy.Action{Alter: true}}},
		"a page of HTML":       {{Match: faultproxy.On("GET", "/tags/list"), Times: 1, Do: faultproxy.Action{HTML: true}}},
		"uploads fail":         {{Match: faultproxy.On("POST", "/blobs/uploads/"), Times: 2, Do: faultproxy.Action{Status: 503}}},
		"slow answers":         {{Times: 5, Do: faultproxy.Action{Delay: 200 * time.Millisecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, proxy := behind(t, "distribution-3.1", faultproxy.Faults{})
			images := w.pushMany("image", 2)
			w.ok("catalog", "publish", images[0], "--name", "first")
			proxy.Set(faultproxy.Faults{Rules: rules})
			w.ok("catalog", "publish", images[1], "--name", "second")
			proxy.Set(faultproxy.Faults{Rules: rules})
			if diff := diffNames([]string{"first", "second"}, w.list()); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		})
	}
}

// Faults that stay: a clear error with the right exit code, and no listing at
// all rather than a wrong one.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	tags, manifests := faultproxy.On("GET", "/tags/list"), faultproxy.On("GET", "/manifests/")
	for name, tt := range map[string]struct {
		rule faultproxy.Rule
		code int
		args []string
		says string
	}{
		"429 for longer than there is time": {faultproxy.Rule{Do: faultproxy.Action{Status: 429, RetryAfter: "300"}}, 8, nil, "429"},
		"500":                               {faultproxy.Rule{Do: faultproxy.Action{Status: 500}}, 8, nil, "500"},
		"HTML with status 200":              {faultproxy.Rule{Do: faultproxy.Action{HTML: true}}, 8, nil, "HTML"},
		"connections reset":                 {faultproxy.Rule{Do: faultproxy.Action{Reset: true}}, 8, nil, "reset"},
		"tag lists cut":                     {faultproxy.Rule{Match: tags, Do: faultproxy.Action{Cut: true}}, 8, nil, "ends early"},
		"tag lists cut clean":               {faultproxy.Rule{Match: tags, Do: faultproxy.Action{CutClean: true}}, 8, nil, "not JSON"},
		"manifests cut":                     {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Cut: true}}, 8, nil, "ends early"},
		"manifests altered":                 {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Alter: true}}, 8, nil, "altered"},
		"no answer in time":                 {faultproxy.Rule{Do: faultproxy.Action{Delay: time.Minute}}, 6, []string{"--timeout", "1s"}, "timed out"},
		"401":                               {faultproxy.Rule{Do: faultproxy.Action{Status: 401}}, 3, nil, "401"},
		"403":                               {faultproxy.Rule{Do: faultproxy.Action{Status: 403}}, 3, nil, "403"},
		"403 on manifests alone":            {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Status: 403}}, 3, nil, "403"},
		"500 on manifests alone":            {faultproxy.Rule{Match: manifests, Do: faultproxy.Action{Status: 500}}, 8, nil, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, proxy := behind(t, "ggcr", faultproxy.Faults{})
			images := w.pushMany("image", 2)
			w.ok("catalog", "publish", images[0], "--name", "first")
			w.env = []string{"HOME=" + t.TempDir(), "CAIB_CATALOG=" + w.on.catalog} // a cold cache
			rule := tt.rule
			proxy.Set(faultproxy.Faults{Rules: []*faultproxy.Rule{&rule}})
			for _, command := range [][]string{{"list"}, {"get", "first"}, {"publish", images[1], "--name", "second"}, {"remove", "first", "--force"}} {
				result := w.exits(tt.code, append(append([]string{"catalog"}, command...), tt.args...)...)
				if result.Stdout != "" || !strings.Contains(result.Stderr, tt.says) || !strings.HasPrefix(result.Stderr, "error: ") {
					t.Errorf("%v says %s%s, want an error of %q and nothing on stdout", command, result.Stdout, result.Stderr, tt.says)
				}
			}
			proxy.Set(faultproxy.Faults{})
			if diff := diffNames([]string{"first"}, w.list()); diff != "" {
				t.Errorf("list afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// What is wrong with a snapshot costs requests, never entries; what a tag list
// leaves out is found and reported.
func TestSnapshotsAndTagListsThatLie(t *testing.T) {
	t.Parallel()
	w, proxy := behind(t, "distribution-3.1", faultproxy.Faults{})
	var want []string
	for i, image := range w.pushMany("image", 40) {
		want = append(want, fmt.Sprintf("e%02d", i))
		w.ok("catalog", "publish", image, "--name", want[i], "--no-attach")
	}
	snapshot := slices.IndexFunc(w.tags(w.on.catalog), func(tag string) bool { return strings.HasPrefix(tag, "_snapshot.") })
	if snapshot < 0 {
		t.Fatal("40 entries and no snapshot, want one")
	}
	blobs := faultproxy.On("GET", "/blobs/")
	for name, tt := range map[string]struct {
		faults  faultproxy.Faults
		warm    bool
		reports string
	}{
		"segment cut":          {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: blobs, Do: faultproxy.Action{CutClean: true}}}}, false, "snapshot"},
		"segment altered":      {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: blobs, Do: faultproxy.Action{Alter: true}}}}, false, "snapshot"},
		"segment gone":         {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: blobs, Do: faultproxy.Action{Status: 404}}}}, false, "snapshot"},
		"snapshot gone":        {faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: faultproxy.On("GET", "/manifests/_snapshot"), Do: faultproxy.Action{Status: 404}}}}, false, "snapshot"},
		"tag list cut short":   {faultproxy.Faults{HideTags: func(tag string) bool { return tag > "e03" && tag < "e20" }}, false, "incomplete"},
		"tag list empty":       {faultproxy.Faults{HideTags: func(string) bool { return true }}, true, "incomplete"},
		"tag list rolled back": {faultproxy.Faults{HideTags: func(tag string) bool { return tag > "e30" || tag[0] == '_' }}, true, "incomplete"},
		"blobs elsewhere":      {faultproxy.Faults{}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Set(faultproxy.Faults{})
			reader := newWorld(t, w.on)
			if tt.warm {
				reader.ok("catalog", "list")
			}
			if name == "blobs elsewhere" {
				host, _, _ := strings.Cut(w.on.catalog, "/")
				storage := faultproxy.New(t, host, faultproxy.Faults{})
				match := func(r *http.Request) bool { return blobs(r) && r.Host == host }
				tt.faults.Rules = []*faultproxy.Rule{{Match: match, Do: faultproxy.Action{RedirectTo: storage.Host}}}
			}
			proxy.Set(tt.faults)
			result := reader.ok("catalog", "list", "-o", "name", "--sort", "name")
			if diff := cmp.Diff(want, strings.Fields(result.Stdout)); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			if (tt.reports == "") != (result.Stderr == "") || !strings.Contains(result.Stderr, tt.reports) {
				t.Errorf("list reports %q, want %q", result.Stderr, tt.reports)
			}
		})
	}
}
