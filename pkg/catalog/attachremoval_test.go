package catalog_test

import (
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// A removal is put beside the image of what it ends, with its signatures: who has the
// image and another catalog is not shown the entry any more. An image that was added is
// not written to, and an unsigned removal ends nothing under a policy.
func TestRemovalsAreAttached(t *testing.T) {
	for _, tt := range []struct {
		name               string
		add, signed, shown bool
	}{
		{"published", false, true, false},
		{"published, removed unsigned", false, false, true},
		{"added", true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, owner := newWorld(t, true, nil), team(t)
			c := w.open(catalog.Options{})
			image := w.push("os/image", "1", "1")
			var err error
			if tt.add {
				_, err = c.Add(t.Context(), "image", image, catalog.PublishOptions{Sign: owner})
			} else {
				_, err = c.Publish(t.Context(), image, catalog.PublishOptions{Name: "image", Sign: owner})
			}
			if err != nil {
				t.Fatal(err)
			}
			options := catalog.RemoveOptions{}
			if tt.signed {
				options.Sign = owner
			}
			var result catalog.RemoveResult
			requests := w.counter.during(func() { result, err = c.Remove(t.Context(), "image", options) })
			if err != nil {
				t.Fatal(err)
			}
			want := catalog.Attached
			if tt.add {
				want = catalog.Skipped
			}
			if result.Attachment.Outcome != want || (result.SignatureAttachment != nil) != (tt.signed && !tt.add) {
				t.Errorf("attachment %+v, signatures %+v; want %s", result.Attachment, result.SignatureAttachment, want)
			}
			for _, request := range requests {
				if tt.add && strings.Contains(request, "/os/image/") {
					t.Errorf("the added image was asked: %s", request)
				}
			}
			var warned []catalog.Warning
			other, err := catalog.Open(w.host+"/team/other", catalog.Options{Registry: w.newClient(), Policy: trusting(t, owner), Warn: func(w catalog.Warning) { warned = append(warned, w) }})
			if err != nil {
				t.Fatal(err)
			}
			found, err := other.GetImage(t.Context(), image)
			if err != nil || (len(found.Attached) > 0) != tt.shown {
				t.Errorf("%v, attached %+v; want any: %t", err, found.Attached, tt.shown)
			}
			if told := strings.Contains(warningText(warned), "was removed"); told != (tt.signed && !tt.add) {
				t.Errorf("warnings %v", warned)
			}
		})
	}
}

// So is the removal of a name that the image was moved away from: who has the image is
// not shown both names.
func TestMoveIsAttached(t *testing.T) {
	for _, without := range []bool{false, true} {
		w := newWorld(t, true, nil)
		image := w.push("os/image", "1", "1")
		w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Name: "old"})
		moved := w.publish(w.open(catalog.Options{}), image, catalog.PublishOptions{Name: "new", Move: true, NoAttach: without})
		other, err := catalog.Open(w.host+"/team/other", catalog.Options{Registry: w.newClient()})
		if err != nil {
			t.Fatal(err)
		}
		found, err := other.GetImage(t.Context(), image)
		var names []string
		for _, item := range found.Attached {
			names = append(names, item.Name)
		}
		want := "new"
		if without {
			want = "old"
		}
		if strings.Join(names, " ") != want || err != nil || len(moved.Warnings) > 0 {
			t.Errorf("not attached %t: the image tells of %q, %v, want %s; warned %v", without, names, err, want, moved.Warnings)
		}
	}
}
