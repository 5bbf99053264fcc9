package catalog_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// forge appends a revision as somebody may who has no key.
func (w *world) forge(d revision.Document, at time.Time) {
	w.t.Helper()
	d.PublishedAt, d.Source.Type = entry.NewTime(at), "Manual"
	packed, err := revision.Pack(&d, revision.Seen{})
	if err != nil {
		w.t.Fatal(err)
	}
	to := w.repository("team/catalog")
	for _, blob := range packed.Blobs {
		if err := to.PushBlob(w.t.Context(), blob.Descriptor, blob.Content); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := to.PushManifest(w.t.Context(), packed.Descriptor, packed.Manifest, packed.Tag.String()); err != nil {
		w.t.Fatal(err)
	}
}

// described is what a document says of an image in the world's registry.
func (w *world) described(repository, tag string) revision.Image {
	w.t.Helper()
	found, err := w.repository(repository).Resolve(w.t.Context(), tag)
	if err != nil {
		w.t.Fatal(err)
	}
	return revision.Image{Reference: w.host + "/" + repository + ":" + tag, Digest: found.Digest, MediaType: found.MediaType, Size: found.Size}
}

// What is attached to an image, and its registry does not say, is not taken from
// another registry for an entry's word: nothing is written there, and no entry sends
// people there.
func TestIncompleteInspectionTakesNothingFromElsewhere(t *testing.T) {
	elsewhere := newWorld(t, true, nil)
	w := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/v2/os/") && strings.Contains(r.URL.Path, "/referrers/") {
				rw.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	image := w.push("os/app", "1", "1")
	elsewhere.push("their/disk", "1", "2")
	theirs, own := elsewhere.described("their/disk", "1"), w.described("os/app", "1")
	file := func(repository string, manifest digest.Digest) revision.Artifact {
		return revision.Artifact{Type: "application/x", Reference: repository + "@" + manifest.String(), Digest: digest.FromString(repository)}
	}
	for _, beside := range []string{elsewhere.host + "/their/disk", w.host + "/os/app"} {
		forged := own
		forged.Reference = beside + ":1"
		w.forge(revision.Document{Name: "app", Image: forged, Artifacts: []revision.Artifact{file(elsewhere.host+"/their/disk", theirs.Digest), file(w.host+"/os/app", own.Digest)}}, time.Now().Add(-time.Minute))
		result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Name: "app", Description: beside})
		if refs := result.Item.ArtifactRefs; len(refs) != 1 || refs[0].URL != w.host+"/os/app@"+own.Digest.String() {
			t.Errorf("an entry of %s: files %+v, want the one beside the image", beside, refs)
		}
		if tags := elsewhere.keepTags("their/disk"); len(tags) > 0 {
			t.Errorf("an entry of %s: tags %v were written elsewhere", beside, tags)
		}
	}
}

// A stranger who says a version again hides nothing of what the policy verifies.
func TestStrangersHideNoVersions(t *testing.T) {
	w, owner, now := newWorld(t, true, nil), team(t), time.Now()
	one, two := w.push("os/app", "1", "1"), w.push("os/app", "2", "2")
	at := func(ago time.Duration) *catalog.Catalog {
		return w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner), Now: func() time.Time { return now.Add(-ago) }})
	}
	w.publish(at(30*time.Minute), one, catalog.PublishOptions{Name: "app", Version: "1", Sign: owner})
	w.forge(revision.Document{Name: "app", Version: "1", Description: "forged", Image: w.described("os/app", "1")}, now.Add(-20*time.Minute))
	w.publish(at(10*time.Minute), two, catalog.PublishOptions{Name: "app", Version: "2", Sign: owner})
	page, err := at(0).List(t.Context(), catalog.ListOptions{Query: entry.Query{Versions: true, Sort: entry.SortVersion}})
	if err != nil || len(page.Items) != 2 || page.Items[0].Version != "1" || page.Items[0].Description != "" || len(page.Refused) != 1 {
		t.Errorf("versions %+v, refused %v, %v; want 1 as it was signed, 2, and what is refused named", page.Items, page.Refused, err)
	}
	found, err := at(0).GetImage(t.Context(), one)
	if err != nil || len(found.Items) != 1 || found.Items[0].Verdict != entry.VerdictVerified || len(found.Refused) != 1 {
		t.Errorf("the image: %+v, %v; want what is verified, and what is refused named", found, err)
	}
}

// What an attachment says of this catalog, and its log does not, is not shown as this
// catalog's.
func TestAttachmentsAreNotOfThisCatalog(t *testing.T) {
	w := newWorld(t, true, nil)
	image, here := w.push("os/app", "1", "1"), w.host+"/team/catalog"
	repository, subject := w.openImage(image)
	for i, catalogs := range [][2]string{{here, ""}, {"", here}, {here, "other.example.com/catalog"}, {"other.example.com/catalog", here}} {
		d := revision.Document{Name: "forged", Image: w.described("os/app", "1"), Catalog: catalogs[1], Source: entry.Source{Type: "Manual"}, PublishedAt: entry.NewTime(time.UnixMilli(int64(9 - i)))}
		packed, err := revision.Pack(&d, revision.Seen{})
		if err != nil {
			t.Fatal(err)
		}
		attachment, err := revision.PackAttachment(packed.Manifest, catalogs[0], subject)
		if err == nil {
			err = repository.PushReferrer(t.Context(), attachment.Descriptor, attachment.Manifest, subject)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
	found, err := w.open(catalog.Options{}).GetImage(t.Context(), image)
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("%+v, %v; want one entry", found, err)
	}
	var named []string
	for _, item := range found.Attached {
		named = append(named, item.Catalog)
	}
	if diff := cmp.Diff([]string{"", "", "other.example.com/catalog", ""}, named); diff != "" {
		t.Errorf("catalogs that attachments name (-want +got):\n%s", diff)
	}
}

// What a stranger appends to a name does not make its publisher forget what the policy
// verifies: it is inherited and told as lost, and a new entry of the name is a conflict.
func TestStrangersDoNotHideTheName(t *testing.T) {
	w, owner, now := newWorld(t, true, nil), team(t), time.Now()
	image := w.push("os/app", "1", "1")
	at := func(ago time.Duration) *catalog.Catalog {
		return w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner), Now: func() time.Time { return now.Add(-ago) }})
	}
	said := catalog.PublishOptions{Name: "app", Version: "1", Description: "ours", Tags: []string{"qa"}, Sign: owner}
	before := w.publish(at(30*time.Minute), image, said)
	for i, forge := range []func(){
		func() {
			w.forge(revision.Document{Name: "app", Version: "9", Description: "forged", Image: w.described("os/app", "1")}, now.Add(-20*time.Minute))
		},
		func() {
			stranger := w.open(catalog.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now.Add(-10 * time.Minute) }})
			if _, err := stranger.Remove(t.Context(), "app", catalog.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		forge()
		result := w.publish(at(0), image, catalog.PublishOptions{Name: "app", Inherit: true, Sign: owner, DryRun: true})
		if item := result.Item; item.Description != "ours" || len(item.Tags) != 1 || len(result.Loses) != 1 || result.Loses[0] != "version" {
			t.Errorf("%d: inherited %q %v, loses %v; want what the policy verifies", i, item.Description, item.Tags, result.Loses)
		}
		said.DryRun = true
		if result = w.publish(at(0), image, said); result.Outcome != catalog.Planned {
			t.Errorf("%d: the same again is %s, want that it is put in front of the stranger's", i, result.Outcome)
		}
		if _, err := at(0).Add(t.Context(), "app", image, catalog.PublishOptions{Sign: owner}); !isKind(err, entry.ErrConflict) {
			t.Errorf("%d: add: %v, want a conflict with %s", i, err, before.Tag)
		}
	}
}
