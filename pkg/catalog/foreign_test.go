package catalog_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// catalogRepository opens the repository below the catalog, to write into it
// what other versions of the format would.
func (w *world) catalogRepository() registry.Repository {
	w.t.Helper()
	return w.repository("team/catalog")
}

// repository opens a repository of the world's registry.
func (w *world) repository(name string) registry.Repository {
	w.t.Helper()
	repository, err := w.client.Open(registry.Reference{Registry: w.host, Repository: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return repository
}

// live returns the manifest of the newest revision of a name.
func (w *world) live(name string) []byte {
	w.t.Helper()
	repository := w.catalogRepository()
	tags, err := repository.Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var newest revision.Tag
	revisions, _ := revision.ParseTags(tags)
	for _, tag := range revisions {
		if tag.Name == name {
			newest = tag
		}
	}
	_, manifest, err := repository.Manifest(w.t.Context(), newest.String())
	if err != nil {
		w.t.Fatal(err)
	}
	return manifest
}

// write puts a packed revision into the repository.
func (w *world) write(packed *revision.Packed) {
	w.t.Helper()
	repository := w.catalogRepository()
	for _, blob := range packed.Blobs {
		if err := repository.PushBlob(w.t.Context(), blob.Descriptor, blob.Content); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := repository.PushManifest(w.t.Context(), packed.Descriptor, packed.Manifest, packed.Tag.String()); err != nil {
		w.t.Fatal(err)
	}
}

// What a newer writer put into an entry stays there when the same image is
// published again with other words, and goes with the image it described.
func TestRepublishingKeepsWhatNewerWritersAdded(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{})
	text, err := revision.DocumentText(w.live("autosd"))
	if err != nil {
		t.Fatal(err)
	}
	var document revision.Document
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	document.PublishedAt = entry.NewTime(document.PublishedAt.Add(time.Millisecond))
	newer := strings.Replace(string(text), `"image":{`, `"future":{"a":[1]},"image":{"cosigned":true,`, 1)
	packed, err := revision.PackRewrite(&document, []byte(newer), revision.Seen{})
	if err != nil {
		t.Fatal(err)
	}
	w.write(packed)

	future := func() bool {
		text, err := revision.DocumentText(w.live("autosd"))
		return err == nil && strings.Contains(string(text), `"future":{"a":[1]}`) && strings.Contains(string(text), `"cosigned":true`)
	}
	if result := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Tags: []string{"qa"}}); result.Outcome != catalog.Published || !future() {
		t.Errorf("%s with another tag: what a newer writer added is gone", result.Outcome)
	}
	if w.publish(w.open(catalog.Options{}), w.push("os/autosd", "2", "2"), catalog.PublishOptions{}); future() {
		t.Error("another image has what was said of the one before")
	}
}

func TestAnEntryOfALaterFormatIsNotReplaced(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	at := entry.NewTime(time.Now())
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.caib.catalog.entry.v2+json",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + ocispec.DescriptorEmptyJSON.Digest.String() + `","size":2},"layers":[],` +
		`"annotations":{"org.opencontainers.image.title":"autosd","org.opencontainers.image.created":"` + at.String() + `"}}`)
	sum := digest.FromBytes(manifest)
	w.write(&revision.Packed{
		Tag: revision.NewTag("autosd", at, revision.OpPublish, sum), Manifest: manifest,
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sum, Size: int64(len(manifest))},
		Blobs:      []revision.Blob{{Descriptor: ocispec.DescriptorEmptyJSON, Content: ocispec.DescriptorEmptyJSON.Data}},
	})
	var warned []error
	c := w.open(catalog.Options{Warn: func(w catalog.Warning) { warned = append(warned, w.Err) }})
	if _, err := c.Publish(t.Context(), image, catalog.PublishOptions{}); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("publish over it: %v, want malformed", err)
	}
	if _, err := c.Get(t.Context(), "autosd", catalog.GetOptions{}); !errors.Is(err, entry.ErrMalformed) {
		t.Errorf("get: %v, want malformed", err)
	}
	if all := names(t, c); len(all) != 0 || len(warned) != 1 || !strings.Contains(warned[0].Error(), "later format") {
		t.Errorf("list: %v with warnings %v", all, warned)
	}
}

// dateless is a registry that does not say what time it is.
func dateless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		next.ServeHTTP(w, r)
	})
}

func later(by time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(by) }
}

func TestAClockAheadIsReported(t *testing.T) {
	w := newWorld(t, true, dateless)
	ahead := w.open(catalog.Options{Now: later(3 * time.Hour)})
	w.publish(ahead, w.push("os/autosd", "1", "1"), catalog.PublishOptions{})
	result := w.publish(w.open(catalog.Options{}), w.push("os/autosd", "2", "2"), catalog.PublishOptions{})
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0].Err.Error(), "ahead of this clock") {
		t.Errorf("warnings %v", result.Warnings)
	}
}

// A writer whose clock is not the registry's writes nothing, neither a
// publication nor a removal.
func TestAWrongClockWritesNothing(t *testing.T) {
	w := newWorld(t, true, nil)
	w.publish(w.open(catalog.Options{}), w.push("os/autosd", "1", "1"), catalog.PublishOptions{})
	image := w.push("os/autosd", "2", "2")
	for _, by := range []time.Duration{-2 * time.Hour, 2 * time.Hour, 1000 * time.Hour} {
		c := w.open(catalog.Options{Now: later(by)})
		var wrong *ocilog.ClockError
		requests := w.counter.during(func() {
			if _, err := c.Publish(t.Context(), image, catalog.PublishOptions{}); !errors.As(err, &wrong) {
				t.Errorf("publish %s ahead: %v", by, err)
			}
			if _, err := c.Remove(t.Context(), "autosd", catalog.RemoveOptions{}); !errors.As(err, &wrong) {
				t.Errorf("remove %s ahead: %v", by, err)
			}
		})
		if wrote := writes(requests); len(wrote) > 0 {
			t.Errorf("%s ahead, it wrote %v", by, wrote)
		}
	}
}

// What is dated too far ahead decides nothing and binds nobody.
func TestTheFarFutureDecidesNothing(t *testing.T) {
	w := newWorld(t, true, dateless)
	w.publish(w.open(catalog.Options{}), w.push("os/autosd", "1", "1"), catalog.PublishOptions{Version: "1"})
	stranger := w.open(catalog.Options{Now: later(25 * time.Hour)})
	far := w.publish(stranger, w.push("os/other", "2", "2"), catalog.PublishOptions{Name: "autosd", Version: "far"})
	if _, err := stranger.Remove(t.Context(), "autosd", catalog.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	var warned []string
	c := w.open(catalog.Options{Fresh: -1, Warn: func(w catalog.Warning) { warned = append(warned, w.Err.Error()) }})
	if item, err := c.Get(t.Context(), "autosd", catalog.GetOptions{}); err != nil || item.Version != "1" {
		t.Errorf("version %q, %v: want 1", item.Version, err)
	}
	if !strings.Contains(strings.Join(warned, "\n"), far.Tag) {
		t.Errorf("warnings %q, want the tag to delete: %s", warned, far.Tag)
	}
	w.publish(c, w.push("os/autosd", "3", "3"), catalog.PublishOptions{Version: "3"})
	if item, err := c.Get(t.Context(), "autosd", catalog.GetOptions{}); err != nil || item.Version != "3" {
		t.Errorf("after another publication: version %q, %v, want 3", item.Version, err)
	}
	if _, err := c.Remove(t.Context(), "autosd", catalog.RemoveOptions{}); err != nil {
		t.Error(err)
	}
}
