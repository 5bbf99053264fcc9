package catalog_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// fresh opens the catalog as another machine would, which has no cache.
func (w *world) fresh(options catalog.Options) *catalog.Catalog {
	w.t.Helper()
	options.CacheDir = w.t.TempDir()
	return w.open(options)
}

// besideImage reads what is attached to an image, without the catalog: the
// revision, the signatures, and how many artifacts hold them.
func (w *world) besideImage(image string) (rev digest.Digest, evidence signature.Evidence, artifacts int) {
	w.t.Helper()
	repository, subject := w.openImage(image)
	for d := range w.attached(image) {
		_, text, err := repository.Manifest(w.t.Context(), d.String())
		if err != nil {
			continue
		}
		var manifest ocispec.Manifest
		if err := json.Unmarshal(text, &manifest); err != nil {
			w.t.Fatal(err)
		}
		if attachment, err := revision.UnpackAttachment(text); err == nil {
			rev = digest.FromBytes(attachment)
		}
		if manifest.ArtifactType != "application/vnd.caib.catalog.signatures.v1+json" {
			continue
		}
		artifacts++
		var record struct {
			Revision   digest.Digest     `json:"revision"`
			Signatures []json.RawMessage `json:"signatures"`
		}
		layer := manifest.Layers[0]
		if err := json.Unmarshal(layer.Data, &record); err != nil || layer.MediaType != manifest.ArtifactType || layer.Digest != digest.FromBytes(layer.Data) {
			w.t.Fatalf("layer %+v, %v", layer, err)
		}
		if manifest.Subject == nil || manifest.Subject.Digest != subject.Digest || len(manifest.Annotations) > 0 {
			w.t.Errorf("signatures artifact %s", text)
		}
		for _, text := range record.Signatures {
			if signature, ok := signature.Parse(text); ok {
				evidence.Signatures = append(evidence.Signatures, signature)
			}
		}
		if rev != "" && record.Revision != rev {
			w.t.Errorf("signatures of %s beside revision %s", record.Revision, rev)
		}
	}
	return rev, evidence, artifacts
}

// What is attached to an image is verified without the catalog, by whoever signed
// it: its publisher, and who approved it later.
func TestSignaturesAreAttached(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		for _, format := range []trust.Format{trust.Bundle, trust.Legacy} {
			w, build, qa := newWorld(t, referrers, nil), team(t), team(t)
			build.Format, qa.Format = format, format
			image := w.push("os/autosd", "1", "1")
			result := w.publish(w.fresh(catalog.Options{}), image, catalog.PublishOptions{Sign: build})
			if result.SignatureAttachment == nil || result.SignatureAttachment.Outcome != catalog.Attached {
				t.Fatalf("%s, referrers %t: %+v, want attached", format, referrers, result.SignatureAttachment)
			}
			both, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{build.Signer.PublicKey(), qa.Signer.PublicKey()}, Threshold: 2})
			if err != nil {
				t.Fatal(err)
			}
			verdict := func() entry.Verdict {
				revision, evidence, _ := w.besideImage(image)
				return both.For("", "autosd").Check(trust.SubjectEntry, revision, evidence).Result
			}
			if got := verdict(); got != entry.VerdictUntrusted {
				t.Errorf("%s, referrers %t: %s by one of two, want untrusted", format, referrers, got)
			}
			approved, err := w.fresh(catalog.Options{}).Sign(t.Context(), "autosd", *qa)
			if err != nil || approved.SignatureAttachment == nil || approved.SignatureAttachment.Outcome != catalog.Attached {
				t.Fatalf("%s, referrers %t: %+v, %v, want attached", format, referrers, approved.SignatureAttachment, err)
			}
			if got := verdict(); got != entry.VerdictVerified {
				t.Errorf("%s, referrers %t: %s by both, want verified", format, referrers, got)
			}
			// What others attach is no part of the entry.
			if again := w.publish(w.fresh(catalog.Options{}), image, catalog.PublishOptions{}); again.Outcome != catalog.Unchanged {
				t.Errorf("%s, referrers %t: %s, want unchanged", format, referrers, again.Outcome)
			}
		}
	}
}

// What is lost is put back, and what is there is not written again.
func TestUnchangedRestoresAttachedSignatures(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		w, sign := newWorld(t, referrers, nil), team(t)
		image := w.push("os/autosd", "1", "1")
		options := catalog.PublishOptions{Sign: sign}
		w.publish(w.fresh(catalog.Options{}), image, options)
		again := func() (result catalog.PublishResult, wrote []string) {
			requests := w.counter.during(func() { result = w.publish(w.fresh(catalog.Options{}), image, options) })
			return result, writes(requests)
		}
		if result, wrote := again(); result.SignatureAttachment.Outcome != catalog.Skipped || len(wrote) > 0 {
			t.Errorf("referrers %t: %+v, wrote %v; want nothing written", referrers, result.SignatureAttachment, wrote)
		}
		for d := range w.attached(image) {
			w.forget("os/autosd", d)
		}
		if result, _ := again(); result.Attachment.Outcome != catalog.Attached || result.SignatureAttachment.Outcome != catalog.Attached {
			t.Errorf("referrers %t: %+v, %+v; want both attached", referrers, result.Attachment, result.SignatureAttachment)
		}
		if _, evidence, artifacts := w.besideImage(image); artifacts != 1 || len(evidence.Signatures) != 1 {
			t.Errorf("referrers %t: %d artifacts with %d signatures, want one of each", referrers, artifacts, len(evidence.Signatures))
		}
	}
}

// Nothing is put beside an image to which its publisher attached nothing, and
// nothing more is asked where nothing is signed.
func TestSignaturesFollowAttachmentsOnly(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	c := w.fresh(catalog.Options{})
	if _, err := c.Add(t.Context(), "theirs", w.push("os/theirs", "1", "1"), catalog.PublishOptions{Sign: sign}); err != nil {
		t.Fatal(err)
	}
	if result := w.publish(c, w.push("os/bare", "1", "2"), catalog.PublishOptions{Sign: sign, NoAttach: true}); result.SignatureAttachment != nil {
		t.Errorf("with NoAttach: %+v, want none", result.SignatureAttachment)
	}
	if result := w.publish(c, w.push("os/unsigned", "1", "3"), catalog.PublishOptions{}); result.SignatureAttachment != nil {
		t.Errorf("not signed: %+v, want none", result.SignatureAttachment)
	}
	for name, want := range map[string]*catalog.Step{
		"theirs": nil, "bare": {Outcome: catalog.Skipped, Reason: "the entry is not known to be attached to the image"},
	} {
		requests := w.counter.during(func() {
			result, err := w.fresh(catalog.Options{}).Sign(t.Context(), name, *team(t))
			if err != nil || (want == nil) != (result.SignatureAttachment == nil) || want != nil && *want != *result.SignatureAttachment {
				t.Errorf("%s: %+v, %v, want %+v", name, result.SignatureAttachment, err, want)
			}
		})
		for _, request := range writes(requests) {
			if strings.Contains(request, "/os/") {
				t.Errorf("%s: wrote %s", name, request)
			}
		}
		if want == nil && strings.Contains(strings.Join(requests, " "), "/os/") {
			t.Errorf("%s: the image's repository was asked: %v", name, requests)
		}
	}
}

// A copy that cannot be written is reported, and the entry is signed all the same.
func TestSignaturesThatCannotBeAttached(t *testing.T) {
	var status atomic.Int32
	w, sign := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if code := int(status.Load()); code != 0 && strings.HasPrefix(r.URL.Path, "/v2/os/") && r.Method != http.MethodGet && r.Method != http.MethodHead {
				w.WriteHeader(code)
				return
			}
			next.ServeHTTP(w, r)
		})
	}), team(t)
	w.publish(w.fresh(catalog.Options{}), w.push("os/autosd", "1", "1"), catalog.PublishOptions{Sign: sign})
	for code, want := range map[int32]catalog.Outcome{403: catalog.Outcome("not writable"), 400: catalog.Outcome("refused")} {
		status.Store(code)
		result, err := w.fresh(catalog.Options{}).Sign(t.Context(), "autosd", *team(t))
		if err != nil || result.Signature.Outcome != catalog.Signed || result.SignatureAttachment.Outcome != want || result.SignatureAttachment.Reason == "" {
			t.Errorf("%d: %+v, %+v, %v; want signed, and %s", code, result.Signature, result.SignatureAttachment, err, want)
		}
	}
}

// A signed publication costs the requests of the second artifact, and no more.
func TestBudgetOfAttachedSignatures(t *testing.T) {
	for _, tt := range []struct {
		referrers bool
		most      int
	}{{true, 7}, {false, 10}} {
		w, sign := newWorld(t, tt.referrers, nil), team(t)
		w.publish(w.open(catalog.Options{}), w.push("os/first", "1", "1"), catalog.PublishOptions{Sign: sign})
		image := w.push("os/second", "1", "1")
		count := func(options catalog.PublishOptions) int {
			c, n := w.open(catalog.Options{}), 0
			for _, request := range w.counter.during(func() { w.publish(c, image, options) }) {
				if strings.Contains(request, "/os/second/") {
					n++
				}
			}
			return n
		}
		plain := count(catalog.PublishOptions{Version: "1"})
		signed := count(catalog.PublishOptions{Version: "2", Sign: sign})
		if more := signed - plain; more < 1 || more > tt.most {
			t.Errorf("referrers %t: %d requests more, want at most %d", tt.referrers, more, tt.most)
		}
	}
}
