package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// renameAttachments puts in the place of each attachment of an image a copy that names
// another catalog, as whoever may write beside the image can.
func (w *world) renameAttachments(image, named string) {
	w.t.Helper()
	repository, _ := w.openImage(image)
	for d := range w.attached(image) {
		_, manifest, err := repository.Manifest(w.t.Context(), d.String())
		if err != nil {
			w.t.Fatal(err)
		}
		rev, err := revision.UnpackAttachment(manifest)
		if err != nil {
			continue // signatures
		}
		w.forget("os/app", d)
		w.pushAttachment(repository, image, rev, named)
	}
}

func (w *world) pushAttachment(repository registry.Repository, image string, rev []byte, named string) {
	w.t.Helper()
	_, subject := w.openImage(image)
	packed, err := revision.PackAttachment(rev, named, subject)
	if err == nil {
		err = repository.PushReferrer(w.t.Context(), packed.Descriptor, packed.Manifest, subject)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// attachedOne is what a fresh reader under a policy finds attached to an image.
func (w *world) attachedOne(image string, policy *trust.Policy) entry.Item {
	w.t.Helper()
	found, err := w.fresh(catalog.Options{Policy: policy}).GetImage(w.t.Context(), image)
	if err != nil || len(found.Attached) != 1 {
		w.t.Fatalf("%+v, %v; want one attachment", found, err)
	}
	return found.Attached[0]
}

// The catalog that is shown beside a verdict is the one whose rule it is by, which the
// signed document names, whatever a stranger wrote into the attachment.
func TestAnAttachmentIsOfTheCatalogThatItsDocumentNames(t *testing.T) {
	for name, named := range map[string]string{"another catalog": "/trusted/catalog", "this catalog": "/team/catalog"} {
		t.Run(name, func(t *testing.T) {
			w, sign := newWorld(t, true, nil), team(t)
			image := w.push("os/app", "1", "1")
			from, err := catalog.Open(w.host+"/their/catalog", catalog.Options{Registry: w.client})
			if err != nil {
				t.Fatal(err)
			}
			w.publish(from, image, catalog.PublishOptions{Sign: sign})
			w.renameAttachments(image, w.host+named)
			item := w.attachedOne(image, trusting(t, sign))
			if item.Verdict != entry.VerdictVerified || item.Catalog != w.host+"/their/catalog" {
				t.Errorf("%s of %q, want verified of the catalog that the document names", item.Verdict, item.Catalog)
			}
		})
	}
}

// Of a document that names no catalog nothing is verified, whatever the attachment names.
func TestAnAttachmentWhoseDocumentNamesNoCatalog(t *testing.T) {
	for name, named := range map[string]string{"another catalog": "/trusted/catalog", "this catalog": "/team/catalog", "none": ""} {
		t.Run(name, func(t *testing.T) {
			w, sign := newWorld(t, true, nil), team(t)
			image := w.push("os/app", "1", "1")
			w.forge(revision.Document{Name: "app", Image: w.described("os/app", "1")}, time.Now())
			if named != "" {
				named = w.host + named
			}
			repository, _ := w.openImage(image)
			w.pushAttachment(repository, image, w.live("app"), named)
			if _, err := w.open(catalog.Options{}).Sign(t.Context(), "app", *sign); err != nil {
				t.Fatal(err)
			}
			w.dropLog(image)
			item := w.attachedOne(image, trusting(t, sign))
			if item.Verdict != entry.VerdictUnknown || len(item.Signers) > 0 || !strings.Contains(item.StatusMessage, "names no catalog") {
				t.Errorf("%s by %v: %q, want unknown", item.Verdict, item.Signers, item.StatusMessage)
			}
		})
	}
}
