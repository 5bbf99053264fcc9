package catalog_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// copyTags copies a repository as clients do that know tags and no referrers.
func (w *world) copyTags(from, to string) {
	w.t.Helper()
	source, target := w.repository(from), w.repository(to)
	tags, err := source.Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tag := range tags {
		if strings.HasPrefix(tag, "sha256-") {
			continue // the fallback index of referrers, or a legacy signature
		}
		d, text, err := source.Manifest(w.t.Context(), tag)
		if err != nil {
			w.t.Fatal(err)
		}
		var manifest ocispec.Manifest
		if err := json.Unmarshal(text, &manifest); err != nil {
			w.t.Fatal(err)
		}
		for _, blob := range append(manifest.Layers, manifest.Config) {
			content, err := source.Blob(w.t.Context(), blob)
			if err != nil {
				w.t.Fatal(err)
			}
			if err := target.PushBlob(w.t.Context(), blob, content); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := target.PushManifest(w.t.Context(), d, text, tag); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Of a catalog that was copied without its referrers, what the snapshot carries
// the signatures of stays verified. Another entry is unsigned, as it is there, or
// unknown where the registry does not say.
func TestCatalogCopiedWithoutReferrers(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		var silent atomic.Bool
		w := newWorld(t, referrers, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if silent.Load() && (strings.Contains(r.URL.Path, "/referrers/") || strings.Contains(r.URL.Path, "/manifests/sha256-")) {
					rw.WriteHeader(http.StatusInternalServerError)
					return
				}
				next.ServeHTTP(rw, r)
			})
		})
		sign := team(t)
		c := w.open(catalog.Options{})
		w.fill(c, 32, sign)
		w.publish(c, w.push("team/last", "1", "1"), catalog.PublishOptions{Name: "last", Sign: sign, NoAttach: true})
		w.copyTags("team/catalog", "team/copy")
		verdicts := func() map[entry.Verdict]string {
			copied, err := catalog.Open(w.host+"/team/copy", catalog.Options{Registry: w.client, Policy: trusting(t, sign), CacheDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			named := map[entry.Verdict]string{}
			for _, name := range []string{"e000", "e031", "last"} {
				v, _ := copied.Verify(t.Context(), name, catalog.VerifyOptions{})
				named[v.Verdict] = strings.TrimSpace(named[v.Verdict] + " " + name)
			}
			return named
		}
		if got := verdicts(); got[entry.VerdictVerified] != "e000 e031" || got[entry.VerdictUnsigned] != "last" {
			t.Errorf("referrers %t: %v, want e000 and e031 verified, last unsigned", referrers, got)
		}
		silent.Store(true)
		if got := verdicts(); got[entry.VerdictVerified] != "e000 e031" || got[entry.VerdictUnknown] != "last" {
			t.Errorf("referrers %t, and no answer about them: %v, want e000 and e031 verified, last unknown", referrers, got)
		}
	}
}
