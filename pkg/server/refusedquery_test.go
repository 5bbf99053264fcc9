package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// What the policy keeps back is counted as far as a query could match it; an image
// selects by what was published, in any spelling of its registry.
func TestRefusedFitTheQuery(t *testing.T) {
	w, owner := newWorld(t), newTeam(t)
	w.signed("good", owner)
	w.signed("plain", nil)
	w.later("future")
	w.startUnder(trusting(t, owner), nil)
	for query, want := range map[string]struct {
		names   string
		refused int
	}{
		"":                                 {"[good]", 2},
		"target=good":                      {"[good]", 1}, // of what is of a later format nobody can tell
		"target=plain":                     {"[]", 2},
		"target=good&name=g*":              {"[good]", 0},
		"target=good&versions=true":        {"[good]", 1},
		"target=plain&as-of=2100-01-01":    {"[]", 2},
		"name=plain&phase=Failed":          {"[]", 1},
		"name=plain&target=none":           {"[]", 0},
		"image=" + w.image("good"):         {"[good]", 1},
		"image=" + w.image("plain"):        {"[]", 2},
		"name=p*&image=" + w.image("good"): {"[]", 0},
	} {
		for range 2 { // the second time from memory
			if got := w.list("?latest=false&" + query); names(got) != want.names || got.Refused != want.refused {
				t.Errorf("%q: %s and %d refused, want %s and %d", query, names(got), got.Refused, want.names, want.refused)
			}
		}
	}
}

// image is the reference of the image that signed publishes, as a parameter.
func (w *world) image(name string) string {
	return url.QueryEscape(strings.ToUpper(w.host[:1]) + w.host[1:] + "/os/" + name + ":1")
}

// A catalog that does not exist is named; one whose entries were removed does exist.
func TestAbsent(t *testing.T) {
	w := newWorld(t)
	w.startReady(nil)
	if got := w.list(""); len(got.Absent) != 1 || got.Absent[0] != w.catalog.Reference() {
		t.Errorf("absent are %v, want %s", got.Absent, w.catalog.Reference())
	}
	w.signed("a", nil)
	w.until("the entry", func() bool { return w.list("").Total == 1 })
	if _, err := w.catalog.Remove(t.Context(), "a", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("the removal", func() bool { return w.list("").Total == 0 })
	if got := w.list(""); len(got.Absent) != 0 {
		t.Errorf("absent are %v, want none", got.Absent)
	}
}

// Images are found by what names them; what names none is a mistake.
func TestListOfAnImage(t *testing.T) {
	w := newWorld(t)
	w.signed("a", nil)
	w.signed("b", nil)
	w.startReady(nil)
	item := w.list("?name=a").Items[0]
	for image, want := range map[string]string{
		string(item.Digest):                          "[a]",
		w.host + "/elsewhere@" + string(item.Digest): "[a]",
		w.host + "/os/a:1":                           "[a]",
		w.host + "/os/b:1":                           "[b]",
		w.host + "/os/a:2":                           "[]",
		w.host + "/os/a":                             "[]",
		"sha256:" + strings.Repeat("0", 64):          "[]",
	} {
		for _, more := range []string{"", "&versions=true"} {
			if got := names(w.list("?image=" + url.QueryEscape(image) + more)); got != want {
				t.Errorf("%s%s: %s, want %s", image, more, got, want)
			}
		}
	}
	for _, image := range []string{"", "a", "oci:dir:1", "http://x/y:1", "x/y@sha256:12", "sha256:12", " "} {
		if a := w.ask("GET", "/v1/catalog/images?image="+url.QueryEscape(image), ""); a.status != 400 || !strings.Contains(string(a.body), "image") {
			t.Errorf("%q: %d %s, want 400", image, a.status, a.body)
		}
	}
}
