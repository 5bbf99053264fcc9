package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Of what refers to an image, only revisions of this image count: not that of
// another image, not what is no revision, however large.
func TestHostileAttachments(t *testing.T) {
	w := newWorld(t, true, nil)
	one, other := w.push("os/one", "1", "1"), w.push("os/other", "1", "2")
	w.publish(w.open(catalog.Options{}), other, catalog.PublishOptions{})
	repository, subject := w.openImage(one)
	attach := func(manifest string) {
		t.Helper()
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: revision.MediaTypeEntry, Digest: digest.FromString(manifest), Size: int64(len(manifest))}
		if err := repository.PushReferrer(t.Context(), d, []byte(manifest), subject); err != nil {
			t.Fatal(err)
		}
	}
	from, _ := w.openImage(other)
	for d := range w.attached(other) {
		_, manifest, err := from.Manifest(t.Context(), d.String())
		if err != nil {
			t.Fatal(err)
		}
		rev, err := revision.UnpackAttachment(manifest)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := revision.PackAttachment(rev, "evil.example.com/catalog", subject)
		if err != nil {
			t.Fatal(err)
		}
		attach(string(packed.Manifest)) // a revision of another image
		text := strings.Replace(string(packed.Manifest), revision.MediaTypeRevision, "text/html", 1)
		attach(text)
		attach(strings.Replace(text, `"layers"`, `"padding":"`+strings.Repeat("x", 2<<20)+`","layers"`, 1))
	}
	elsewhere, err := catalog.Open(w.host+"/team/empty", catalog.Options{Registry: w.newClient(), Recheck: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	found, err := elsewhere.GetImage(t.Context(), one)
	if err != nil || len(found.Items)+len(found.Attached) > 0 {
		t.Errorf("%+v, %v; want nothing: none of %d attachments is one", found, err, len(w.attached(one)))
	}
	if n := len(w.attached(one)); n != 3 {
		t.Errorf("%d attachments, want 3 that are no such", n)
	}
}
