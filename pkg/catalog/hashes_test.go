package catalog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// segmentsOf returns the digests of the segments of the catalog's snapshots.
func (w *world) segmentsOf() (segments []string) {
	repository := w.catalogRepository()
	tags, err := repository.Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tag := range tags {
		if !strings.HasPrefix(tag, "_snapshot.") {
			continue
		}
		_, text, err := repository.Manifest(w.t.Context(), tag)
		var manifest ocispec.Manifest
		if err == nil {
			err = json.Unmarshal(text, &manifest)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, layer := range manifest.Layers {
			if strings.Contains(layer.MediaType, "segment") {
				segments = append(segments, layer.Digest.String())
			}
		}
	}
	return segments
}

// A publisher without a cache finds what is in its way by the hashes of the snapshot: the
// same image under another name, and a tag that moved on. It reads no segment.
func TestPublishingByHashes(t *testing.T) {
	w := newWorld(t, true, nil)
	writer := w.fresh(catalog.Options{})
	images := map[string]string{}
	for i := range 32 {
		name := fmt.Sprintf("m%02d", i)
		images[name] = w.push("os/"+name, "1", "1")
		w.publish(writer, images[name], catalog.PublishOptions{Name: name, NoAttach: true, NoKeep: true})
	}
	segments := w.segmentsOf()
	if len(segments) != 1 {
		t.Fatalf("%d segments, want one", len(segments))
	}
	w.push("os/m07", "1", "2") // the tag moves on
	cold := func(name, image string, check func(catalog.PublishResult, error)) {
		t.Helper()
		var result catalog.PublishResult
		var err error
		requests := w.counter.during(func() {
			c := w.fresh(catalog.ReadingHashes(catalog.Options{}))
			result, err = c.Publish(t.Context(), image, catalog.PublishOptions{Name: name, NoAttach: true, NoKeep: true})
		})
		check(result, err)
		if slices.ContainsFunc(requests, func(r string) bool { return strings.Contains(r, segments[0]) }) {
			t.Errorf("%s: the segment was read:\n%s", name, strings.Join(requests, "\n"))
		}
	}
	cold("other", images["m03"], func(_ catalog.PublishResult, err error) {
		var conflict *catalog.ConflictError
		if !errors.As(err, &conflict) || conflict.Name != "m03" {
			t.Errorf("the image of m03 under another name: %v, want a conflict with it", err)
		}
	})
	cold("moved", images["m07"], func(result catalog.PublishResult, err error) {
		if err != nil || !strings.Contains(warningText(result.Warnings), "m07 was published from") {
			t.Errorf("from the reference of m07: %v, warnings %s", err, warningText(result.Warnings))
		}
	})
	cold("m05", images["m05"], func(result catalog.PublishResult, err error) {
		if err != nil || result.Outcome != catalog.Unchanged {
			t.Errorf("m05 again: %s, %v", result.Outcome, err)
		}
	})
	cold("again", images["m07"], func(_ catalog.PublishResult, err error) {
		if !isKind(err, entry.ErrConflict) {
			t.Errorf("the image of moved, which no snapshot covers, under another name: %v, want a conflict", err)
		}
	})
}

// Reading one entry, its history, and removing it reads no segment either.
func TestOneNameByHashes(t *testing.T) {
	w := newWorld(t, true, nil)
	writer := w.fresh(catalog.Options{})
	for i := range 32 {
		w.publish(writer, w.push(fmt.Sprint("os/m", i), "1", "1"), catalog.PublishOptions{NoAttach: true, NoKeep: true})
	}
	segments := w.segmentsOf()
	for what, do := range map[string]func(*catalog.Catalog) error{
		"get": func(c *catalog.Catalog) error {
			item, err := c.Get(t.Context(), "m3", catalog.GetOptions{})
			if err == nil && item.Name != "m3" {
				err = fmt.Errorf("it is %q", item.Name)
			}
			return err
		},
		"history": func(c *catalog.Catalog) error {
			events, err := c.History(t.Context(), "m4")
			if err == nil && len(events) != 1 {
				err = fmt.Errorf("%d events", len(events))
			}
			return err
		},
		"remove": func(c *catalog.Catalog) error {
			_, err := c.Remove(t.Context(), "m5", catalog.RemoveOptions{})
			return err
		},
		"list after get": func(c *catalog.Catalog) error {
			if _, err := c.Get(t.Context(), "m3", catalog.GetOptions{}); err != nil {
				return err
			}
			events, err := c.History(t.Context(), "")
			if err == nil && len(events) < 32 {
				err = fmt.Errorf("%d events of all names", len(events))
			}
			return err
		},
	} {
		var err error
		requests := w.counter.during(func() { err = do(w.fresh(catalog.ReadingHashes(catalog.Options{}))) })
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		read := slices.ContainsFunc(requests, func(r string) bool { return strings.Contains(r, segments[0]) })
		if read != (what == "list after get") {
			t.Errorf("%s: reads the segment %t:\n%s", what, read, strings.Join(requests, "\n"))
		}
	}
}
