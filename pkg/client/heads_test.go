package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/client"
	"github.com/oci-catalog/caib/pkg/entry"
)

// An image that is live under two names of one catalog is told of with the later one,
// in any spelling; what the server did not verify, and other catalogs, do not count.
func TestTwins(t *testing.T) {
	item := func(name, catalog, reference, content, verdict string, second int) string {
		return fmt.Sprintf(`{"name":%q,"catalog":%q,"registryUrl":%q,"digest":%q,"phase":"Available","verdict":%q,"publishedAt":"2026-03-01T12:00:%02d.000Z"}`,
			name, catalog, reference, digest.FromString(content), verdict, second)
	}
	for name, tt := range map[string]struct {
		items []string
		want  map[string]string
	}{
		"the later one":     {[]string{item("a", "", "r.example.com/os:1", "x", "", 2), item("b", "", "R.example.com:443/os:1", "x", "", 1)}, map[string]string{"a": "b"}},
		"at one time":       {[]string{item("b", "", "r.example.com/os:1", "x", "", 1), item("a", "", "r.example.com/os:1", "x", "", 1)}, map[string]string{"b": "a"}},
		"three":             {[]string{item("a", "", "r.example.com/os:1", "x", "", 3), item("b", "", "r.example.com/os:1", "x", "", 2), item("c", "", "r.example.com/os:1", "x", "", 1)}, map[string]string{"a": "c", "b": "c"}},
		"another digest":    {[]string{item("a", "", "r.example.com/os:1", "x", "", 2), item("b", "", "r.example.com/os:1", "y", "", 1)}, nil},
		"another reference": {[]string{item("a", "", "r.example.com/os:1", "x", "", 2), item("b", "", "r.example.com/os:2", "x", "", 1)}, nil},
		"another catalog":   {[]string{item("a", "r.example.com/c", "r.example.com/os:1", "x", "", 2), item("b", "r.example.com/d", "r.example.com/os:1", "x", "", 1)}, nil},
		"not verified":      {[]string{item("a", "", "r.example.com/os:1", "x", "verified", 2), item("b", "", "r.example.com/os:1", "x", "unsigned", 1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			answer := `{"items":[`
			for n, text := range tt.items {
				if n > 0 {
					answer += ","
				}
				answer += text
			}
			heads, err := answering(t, 200, fmt.Sprintf(`%s],"total":%d}`, answer, len(tt.items))).Heads(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			for _, head := range heads {
				if head.Twin != "" {
					if got == nil {
						got = map[string]string{}
					}
					got[head.Name] = head.Twin
				}
				if head.Image == "" {
					t.Errorf("head %s has no image", head.Name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("twins (-want +got):\n%s", diff)
			}
		})
	}
}

// What a query and an image say is asked of the server as far as its route takes it,
// for it to count what it refuses by them.
func TestListAsksForWhatItCan(t *testing.T) {
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		fmt.Fprint(w, `{"items":[],"total":0,"absent":["r.example.com/c"]}`)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL, client.Options{})
	for name, tt := range map[string]struct {
		options catalog.ListOptions
		want    string
	}{
		"an image":   {catalog.ListOptions{Image: "r.example.com/os:1"}, "image=r.example.com%2Fos%3A1&latest=false&limit=1000&phase=all&sort=created"},
		"two words":  {catalog.ListOptions{Query: entry.Query{Distro: "two words", Targets: []string{"rpi4"}, Latest: true}}, "latest=false&limit=1000&phase=all&target=rpi4"},
		"everything": {catalog.ListOptions{Query: entry.Query{Tags: make([]string, 65), Name: "a*"}}, "latest=false&limit=1000&phase=all"},
	} {
		page, err := c.List(t.Context(), tt.options)
		if err != nil || !page.Absent || asked != tt.want {
			t.Errorf("%s: asked %q, absent %t, error %v, want %q", name, asked, page.Absent, err, tt.want)
		}
	}
}
