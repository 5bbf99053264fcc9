package imagecopy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/registry"
)

// Of an image that several places have, what belongs to it is copied from each that
// answers: the place it was published at may be out of reach, and know less.
func TestAttachmentsAtPlaces(t *testing.T) {
	t.Parallel()
	origin, mirror := newHost(t, true), newHost(t, false)
	s := pushSample(t, origin.open(t, "team/image"))
	copied := mirror.open(t, "copies/image")
	copyImage(t, New(Options{Catalog: catalog}), origin.open(t, "team/image"), copied, s.root.Digest)
	b := builder{t, copied}
	b.referrer("late", s.arm, "at the mirror alone")
	client, err := registry.New(registry.Options{Attempts: 1, Backoff: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		origin bool
		want   int // attachments
	}{"all answer": {true, s.attachments + 1}, "the origin does not": {false, s.attachments + 1}} {
		origin.answer(func(w http.ResponseWriter, _ *http.Request) bool {
			if !tt.origin {
				panic(http.ErrAbortHandler)
			}
			return false
		})
		from, err := client.OpenMirrored(registry.Reference{Registry: origin.name, Repository: "team/image"}, registry.Reference{Registry: mirror.name, Repository: "copies/image"})
		if err != nil {
			t.Fatal(err)
		}
		origin.requests()
		to := newLayout(t)
		got := copyImage(t, New(Options{Catalog: catalog}), from, to, s.root.Digest)
		if lacks := missing(t, copied, to, s.root.Digest, true); got.Referrers != tt.want || len(got.Warnings) > 0 || len(lacks) > 0 {
			t.Errorf("%s: %d attachments, warnings %q, missing %s", name, got.Referrers, got.Warnings, strings.Join(lacks, "\n"))
		}
		if asked := len(origin.requests()); !tt.origin && asked > parallel+1 {
			t.Errorf("an origin that does not answer is asked %d times", asked)
		}
	}
}
