package catalog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// attached returns the tags and digests of the attachments that are listed
// beside an image, and whether each is there.
func (w *world) attached(image string) map[digest.Digest]bool {
	w.t.Helper()
	repository, subject := w.openImage(image)
	referrers, err := repository.Referrers(w.t.Context(), subject)
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[digest.Digest]bool{}
	for _, d := range referrers {
		_, _, err := repository.Manifest(w.t.Context(), d.Digest.String())
		if err != nil && !errors.Is(err, entry.ErrNotFound) {
			w.t.Fatal(err)
		}
		found[d.Digest] = err == nil
	}
	return found
}

func (w *world) openImage(image string) (registry.Repository, ocispec.Descriptor) {
	w.t.Helper()
	ref := parse(w.t, image)
	repository, err := w.client.Open(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	subject, err := repository.Resolve(w.t.Context(), ref.Target())
	if err != nil {
		w.t.Fatal(err)
	}
	return repository, subject
}

// forget deletes a manifest by its digest, as a registry's clean-up does.
func (w *world) forget(repository string, d digest.Digest) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodDelete, "http://"+w.host+"/v2/"+repository+"/manifests/"+d.String(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		w.t.Fatalf("delete %s: %s", d, response.Status)
	}
}

// Publishing the same again writes no revision, and puts back an attachment that
// a registry's clean-up took.
func TestUnchangedRestoresTheAttachment(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		w := newWorld(t, referrers, nil)
		image := w.push("os/autosd", "1", "1")
		first := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
		again := func(options catalog.PublishOptions) (result catalog.PublishResult, wrote []string) {
			requests := w.counter.during(func() { result = w.publish(w.open(catalog.Options{}), image, options) })
			if result.Outcome != catalog.Unchanged || result.Item.Revision != first.Item.Revision {
				t.Errorf("referrers %t: %s, want unchanged", referrers, result.Outcome)
			}
			return result, writes(requests)
		}
		if result, wrote := again(catalog.PublishOptions{}); result.Attachment.Outcome != catalog.Skipped || len(wrote) > 0 {
			t.Errorf("referrers %t: with the attachment: %+v, wrote %v; want nothing written", referrers, result.Attachment, wrote)
		}
		before := w.attached(image)
		for d := range before {
			w.forget("os/autosd", d)
		}
		if result, wrote := again(catalog.PublishOptions{NoAttach: true}); result.Attachment.Outcome != catalog.Skipped || len(wrote) > 0 {
			t.Errorf("referrers %t: with NoAttach: %+v, wrote %v; want nothing written", referrers, result.Attachment, wrote)
		}
		result, wrote := again(catalog.PublishOptions{})
		if result.Attachment.Outcome != catalog.Attached {
			t.Errorf("referrers %t: without the attachment: %+v, want attached", referrers, result.Attachment)
		}
		for _, request := range wrote {
			if strings.Contains(request, "/team/catalog/") {
				t.Errorf("referrers %t: the catalog was written to: %s", referrers, request)
			}
		}
		after := w.attached(image)
		for d := range before {
			if len(before) != 1 || !after[d] {
				t.Errorf("referrers %t: attachments %v, then %v; want the same one", referrers, before, after)
			}
		}
	}
}

// Where it cannot be put back, or not be looked for, that is said.
func TestUnchangedSaysWhatItCannotRestore(t *testing.T) {
	var status atomic.Int32
	var part atomic.Value
	part.Store("none")
	w := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if code := int(status.Load()); code != 0 && strings.HasPrefix(r.Method+" "+r.URL.Path, part.Load().(string)) {
				w.WriteHeader(code)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	image := w.push("os/autosd", "1", "1")
	w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{NoAttach: true})
	for _, tt := range []struct {
		part   string
		status int32
		want   catalog.Outcome
	}{
		{"POST /v2/os/autosd/", 403, catalog.Outcome("not writable")},
		{"PUT /v2/os/autosd/manifests/", 400, catalog.Outcome("refused")},
		{"GET /v2/os/autosd/referrers/", 503, catalog.Failed},
		{"none", 0, catalog.Attached},
	} {
		part.Store(tt.part)
		status.Store(tt.status)
		result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
		if result.Outcome != catalog.Unchanged || result.Attachment.Outcome != tt.want {
			t.Errorf("%s answers %d: %s, %+v; want unchanged, and %s", tt.part, tt.status, result.Outcome, result.Attachment, tt.want)
		}
	}
}

// A signature that is gone is made again, in both formats and of the image too.
func TestUnchangedRestoresTheSignature(t *testing.T) {
	for _, format := range []trust.Format{trust.Bundle, trust.Legacy} {
		w, sign := newWorld(t, true, nil), team(t)
		sign.Format, sign.Image = format, true
		image := w.push("os/autosd", "1", "1")
		options := catalog.PublishOptions{Sign: sign, NoAttach: true}
		first := w.publish(w.open(catalog.Options{}), image, options)
		if again := w.publish(w.open(catalog.Options{}), image, options); again.Signature.Outcome != catalog.SignedBefore || again.ImageSignature.Outcome != catalog.SignedBefore {
			t.Errorf("%s: with the signatures: %+v, %+v", format, again.Signature, again.ImageSignature)
		}
		for repository, d := range map[string]digest.Digest{"team/catalog": first.Signature.Digest, "os/autosd": first.ImageSignature.Digest} {
			to, err := w.client.Open(parse(t, w.host+"/"+repository))
			if err != nil {
				t.Fatal(err)
			}
			if format == trust.Legacy {
				if err := to.Delete(t.Context(), "sha256-"+d.Encoded()+".sig"); err != nil {
					t.Fatal(err)
				}
				continue
			}
			referrers, err := to.Referrers(t.Context(), ocispec.Descriptor{Digest: d})
			if err != nil || len(referrers) != 1 {
				t.Fatalf("%v, %v", referrers, err)
			}
			w.forget(repository, referrers[0].Digest)
		}
		again := w.publish(w.open(catalog.Options{}), image, options)
		if again.Outcome != catalog.Unchanged || again.Signature.Outcome != catalog.Signed || again.ImageSignature.Outcome != catalog.Signed {
			t.Errorf("%s: without them: %s, %+v, %+v; want unchanged and signed", format, again.Outcome, again.Signature, again.ImageSignature)
		}
		if evidence := signature.Find(t.Context(), w.catalogRepository(), first.Signature.Digest); len(evidence.Signatures) != 1 {
			t.Errorf("%s: %d signatures, %v; want one", format, len(evidence.Signatures), evidence.Err)
		}
	}
}

// Without the Referrers API, what is put beside an image or a revision has a tag
// that names the catalog; the image has one anyway.
func TestTagsNameTheCatalog(t *testing.T) {
	w, sign := newWorld(t, false, nil), team(t)
	sign.Image = true
	image := w.push("os/autosd", "1", "1")
	w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Sign: sign})
	sum := sha256.Sum256([]byte(w.host + "/team/catalog"))
	want := "." + hex.EncodeToString(sum[:4])
	for repository, count := range map[string]int{"os/autosd": 4, "team/catalog": 1} {
		to, err := w.client.Open(parse(t, w.host+"/"+repository))
		if err != nil {
			t.Fatal(err)
		}
		tags, err := to.Tags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ours := 0
		for _, tag := range tags {
			if strings.HasPrefix(tag, "caib.") {
				ours++
				if !strings.HasSuffix(tag, want) {
					t.Errorf("%s has the tag %s, want one that ends in %s", repository, tag, want)
				}
			}
		}
		if ours != count {
			t.Errorf("%s has %d tags of ours, want %d: %v", repository, ours, count, tags)
		}
	}
}

// An attachment that an earlier release wrote does not name the catalog. It is the
// attachment all the same; one that is written now names it.
func TestAttachmentWithoutTheCatalog(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
	repository, subject := w.openImage(image)
	for d := range w.attached(image) {
		_, manifest, err := repository.Manifest(t.Context(), d.String())
		if err != nil || !strings.Contains(string(manifest), `"vnd.caib.catalog.reference":"`+w.host+`/team/catalog"`) {
			t.Fatalf("%v, %s; want an attachment that names the catalog", err, manifest)
		}
		rev, err := revision.UnpackAttachment(manifest)
		if err != nil {
			t.Fatal(err)
		}
		w.forget("os/autosd", d)
		earlier, err := revision.PackAttachment(rev, "", subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := repository.PushReferrer(t.Context(), earlier.Descriptor, earlier.Manifest, subject); err != nil {
			t.Fatal(err)
		}
	}
	before := w.attached(image)
	result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
	if result.Attachment.Outcome != catalog.Skipped || len(w.attached(image)) != len(before) {
		t.Errorf("published again: %+v; attachments %v, then %v; want the earlier one left alone", result.Attachment, before, w.attached(image))
	}
}
