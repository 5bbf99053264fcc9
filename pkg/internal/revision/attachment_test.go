package revision

import (
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// An attachment carries what could be in the log: a name and a time that a tag holds.
func TestReadAttachmentTimes(t *testing.T) {
	last := time.UnixMilli(36*36*36*36*36*36*36*36*36 - 1) // of nine digits
	for _, tt := range []struct {
		at time.Time
		ok bool
	}{
		{sampleTime.Time, true}, {time.UnixMilli(0), true}, {last, true},
		{last.Add(time.Millisecond), false}, {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), false},
		{time.UnixMilli(-1), false}, {time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), false},
	} {
		document := sampleDocument("a")
		document.PublishedAt = entry.NewTime(tt.at)
		text, err := canonical(document)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := packManifest(MediaTypeEntry, MediaTypeEntry, text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		attachment, err := PackAttachment(packed.Manifest, "", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		read, err := ReadAttachment(attachment.Manifest)
		switch {
		case (err == nil) != tt.ok || err != nil && !errors.Is(err, entry.ErrMalformed):
			t.Errorf("of %s: %v, want that it is read: %t", tt.at.UTC(), err, tt.ok)
		case tt.ok:
			if tag, ok := ParseTag(read.Revision.Tag.String()); !ok || tag != read.Revision.Tag {
				t.Errorf("of %s: tag %s is none", tt.at.UTC(), read.Revision.Tag)
			}
		}
	}
}
