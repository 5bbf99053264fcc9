package registry

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
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
