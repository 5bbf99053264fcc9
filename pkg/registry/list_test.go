package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An answer that can be read in two ways, or that speaks of an error, is no list.
func TestTagListsThatSayMore(t *testing.T) {
	for body, want := range map[string][]string{
		`{"tags":["a"],"tags":null}`:                      nil,
		`{"tags":["a"],"t\u0061gs":[]}`:                   nil,
		`{"tags":[null,"a"]}`:                             nil,
		`{"tags":["a",1]}`:                                nil,
		`{"tags":null,"error":"unauthorized"}`:            nil,
		`{"tags":[],"error":{"code":"DENIED"}}`:           nil,
		`{"tags":[],"message":"Forbidden","code":403}`:    nil,
		`{"tags":[],"errors":[{}]}`:                       nil,
		`{"tags":[],"errors":true}`:                       nil,
		`{"tags":["a"],"errors":[ ]}`:                     {"a"},
		`{"tags":["a"],"errors":{}}`:                      {"a"},
		`{"tags":["a"],"errors":null}`:                    {"a"},
		`{"tags":["a"],"message":"","code":0}`:            {"a"},
		`{"name":"x","tags":["a","b"],"Tags":[],"x":{} }`: {"a", "b"},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", body) })
		tags, err := open(t, s.host, quick()).Tags(t.Context())
		if diff := cmp.Diff(want, tags); diff != "" || (want == nil) != (kind(err) == "unreachable") {
			t.Errorf("%s: got %v, %v; want %v", body, tags, err, want)
		}
	}
}

func TestReferrersThatSayMore(t *testing.T) {
	one := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + ocispec.DescriptorEmptyJSON.Digest.String() + `","size":2}`
	for body, want := range map[string]string{
		`{"manifests":[` + one + `],"manifests":[]}`:             "unreachable",
		`{"manifests":[],"error":"unauthorized"}`:                "unreachable",
		`{"manifests":[],"message":"Forbidden"}`:                 "unreachable",
		`{"manifests":[` + one + `],"errors":[]}`:                "",
		`{"Manifests":[],"manifests":[` + one + `,` + one + `]}`: "",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", body) })
		list, err := open(t, s.host, quick()).Referrers(t.Context(), ocispec.DescriptorEmptyJSON)
		if kind(err) != want || (want == "") != (len(list) > 0) {
			t.Errorf("%s: got %v, %v; want %q", body, list, err, want)
		}
	}
}

// One odd descriptor does not hide the others, and an index is one however it
// spells its type.
func TestOddReferrers(t *testing.T) {
	good, other := ocispec.DescriptorEmptyJSON.Digest.String(), sha256sum.String()
	one := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + good + `","size":2}`
	index := func(head string, more ...string) string {
		return "{" + head + `"manifests":[` + strings.Join(append([]string{one}, more...), ",") + "]}"
	}
	odd := func(members string) string {
		return index("", `{"mediaType":"x","artifactType":"y","digest":"`+other+`",`+members+"}")
	}
	whole := ocispec.Descriptor{MediaType: "x", ArtifactType: "y", Digest: sha256sum, Size: 2}
	annotated, unsized := whole, whole
	annotated.Annotations, unsized.Size = map[string]string{"a": "b"}, 0
	for name, tt := range map[string]struct {
		body string
		want *ocispec.Descriptor // beside the good one
	}{
		"an annotation that is a number": {odd(`"size":2,"annotations":{"n":1,"a":"b"}`), &annotated},
		"annotations that are a list":    {odd(`"size":2,"annotations":[]`), &whole},
		"a size that is text":            {odd(`"size":"2"`), &unsized},
		"an endless size":                {odd(`"size":1e400`), &unsized},
		"a negative size":                {odd(`"size":-2`), &unsized},
		"data that is none":              {odd(`"size":2,"data":"%%%"`), &whole},
		"a platform that is text":        {odd(`"size":2,"platform":"linux"`), &whole},
		"null":                           {index("", "null"), nil},
		"a number":                       {index("", "5"), nil},
		"no digest":                      {index("", "{}"), nil},
		"a bad digest":                   {index("", `{"digest":"sha256:../x"}`), nil},
		"two digests":                    {index("", `{"digest":"`+good+`","digest":"`+other+`"}`), nil},
		"parameters of the type":         {index(`"mediaType":"application/vnd.oci.image.index.v1+json; charset=utf-8",`), nil},
		"the type in another case":       {index(`"mediaType":"Application/Vnd.Oci.Image.Index.V1+Json",`), nil},
		"docker's type":                  {index(`"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json",`), nil},
		"layers that are null":           {index(`"layers":null,`), nil},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", tt.body) })
		list, err := open(t, s.host, quick()).Referrers(t.Context(), ocispec.DescriptorEmptyJSON)
		want := []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: ocispec.DescriptorEmptyJSON.Digest, Size: 2}}
		if tt.want != nil {
			want = append(want, *tt.want)
		}
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

// A list that goes on and on is bounded over all its pages.
func TestListsAreBoundedInTotal(t *testing.T) {
	page := func(i int) string {
		return fmt.Sprintf(`{"tags":["a%d","b%d"],"manifests":[{"digest":%q},{"digest":%q}]}`, i, i, digest.FromString(fmt.Sprint(i)), sha256sum)
	}
	for name, left := range map[string]listBudget{"elements": {9, maxList}, "bytes": {maxListed, 5 * len(page(10))}} {
		s := serve(t, nil)
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			i := len(s.requests())
			w.Header().Set("Link", fmt.Sprintf(`<?last=%d>; rel="next"`, i))
			answer(w, 200, "application/json", page(i))
		}
		repository := open(t, s.host, quick()).(*remoteRepository)
		if repository.left != (listBudget{maxListed, maxList}) {
			t.Errorf("got bounds %v", repository.left)
		}
		repository.left = left
		for operation, list := range map[string]func() error{
			"tags":      func() error { _, err := repository.Tags(t.Context()); return err },
			"referrers": func() error { _, err := repository.Referrers(t.Context(), ocispec.DescriptorEmptyJSON); return err },
		} {
			before := len(s.requests())
			if err := list(); kind(err) != "unreachable" || len(s.requests())-before > 6 {
				t.Errorf("%s by %s: got %v after %d pages", operation, name, err, len(s.requests())-before)
			}
		}
	}
}

func TestReferrersAreListedOnce(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			w.Header().Set("Link", `<?p=2>; rel="next"`)
		}
		answer(w, 200, "application/json", `{"manifests":[{"digest":"`+sha256sum.String()+`"},{"digest":"`+sha256sum.String()+`"}]}`)
	})
	if list, err := open(t, s.host, quick()).Referrers(t.Context(), ocispec.DescriptorEmptyJSON); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v; want one", list, err)
	}
}
