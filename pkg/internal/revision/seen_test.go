package revision

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What is no count of a catalog says nothing, whatever else stands there.
func TestSeen(t *testing.T) {
	for text, want := range map[string]Seen{
		`{"vnd.caib.catalog.seen":"41@0a1b2c3d"}`:          {41, "0a1b2c3d"},
		`{"a":"b","vnd.caib.catalog.seen":"1@00000000"}`:   {1, "00000000"},
		`{"vnd.caib.catalog.seen":"0@0a1b2c3d"}`:           {},
		`{"vnd.caib.catalog.seen":"-1@0a1b2c3d"}`:          {},
		`{"vnd.caib.catalog.seen":"+41@0a1b2c3d"}`:         {},
		`{"vnd.caib.catalog.seen":"041@0a1b2c3d"}`:         {},
		`{"vnd.caib.catalog.seen":"41@0A1B2C3D"}`:          {},
		`{"vnd.caib.catalog.seen":"41@0a1b2c3d4"}`:         {},
		`{"vnd.caib.catalog.seen":"41"}`:                   {},
		`{"vnd.caib.catalog.seen":41}`:                     {},
		`{"vnd.caib.catalog.seen":"99999999999@0a1b2c3d"}`: {},
		`{"note":"vnd.caib.catalog.seen"}`:                 {},
		`"vnd.caib.catalog.seen"`:                          {},
		``:                                                 {},
	} {
		if got, _ := saidIn(jsontext.Value(text)); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}
