package revision

import (
	"errors"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A check whose cost grows with the square of the size would not be done in time.
func TestHugeDocumentsAreRefusedQuickly(t *testing.T) {
	huge := strings.Repeat("v", 5<<20)
	many := `{"tags":["` + strings.Repeat(`a","`, 30_000) + `z"]}`
	deep := strings.Repeat(`{"a":`, 40_000) + "1" + strings.Repeat("}", 40_000)
	for _, tt := range []struct{ name, document string }{
		{"5 MB in one field", `{"description":"` + huge + `"}`},
		{"30,000 equal tags", many},
		{"40,000 levels", deep},
		{"200,000 control characters", `{"description":"` + strings.Repeat("\x7f", 200_000) + `"}`},
		{"a key of 200,000 characters", `{"labels":{"` + strings.Repeat("-", 200_000) + `":1}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tag, manifest := Tag{Name: "a", Op: OpPublish, Hash: sampleHash}, []byte(tt.document)
			if len(manifest) < MaxManifest/2 {
				tag, manifest = sealed(t, OpPublish, "a", sampleTime, manifest)
			}
			var err error
			testwait.Return(t, "a huge document to be refused", func() { _, err = Unpack(tag, manifest) })
			if !errors.Is(err, entry.ErrMalformed) || len(err.Error()) > 4096 {
				t.Errorf("%.300v", err)
			}
		})
	}
	document := sampleDocument("autosd")
	document.Description = huge[:1<<20]
	if _, err := Pack(document, Seen{}); !errors.Is(err, entry.ErrInvalid) || len(err.Error()) > 4096 {
		t.Errorf("%.300v", err)
	}
}

func TestDocumentSizeBound(t *testing.T) {
	for _, tt := range []struct {
		extra int
		ok    bool
	}{{0, true}, {1, false}} {
		text := string(mustPack(t, sampleDocument("autosd")).Blobs[1].Content)
		frame := `{"future":"",` + text[1:]
		padding := strings.Repeat("v", MaxDocument-len(frame)+tt.extra)
		tag, manifest := sealed(t, OpPublish, "autosd", sampleTime, []byte(strings.Replace(frame, `""`, `"`+padding+`"`, 1)))
		if _, err := Unpack(tag, manifest); (err == nil) != tt.ok {
			t.Errorf("%d bytes: %.300v", MaxDocument+tt.extra, err)
		}
	}
}
