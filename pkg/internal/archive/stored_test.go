package archive

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the archives in testdata")

// Archives that were written are read for ever, and the tar is made of the same bytes
// by every version.
func TestStoredArchivesAreRead(t *testing.T) {
	for form, compress := range forms {
		s := newSample(t, 300)
		path := filepath.Join("testdata", "v1."+form)
		made := archived(t, compress, options(), func(w *Writer) { s.write(t, w) })
		if *update {
			must(t, os.MkdirAll("testdata", 0o777))
			must(t, os.WriteFile(path, made, 0o666))
		}
		r, err := OpenFile(t.Context(), path)
		must(t, err)
		s.check(t, r, map[string]string{"of": "application/x.referrer"})
		must(t, r.Close())
		stored, err := os.ReadFile(path)
		must(t, err)
		if !compress && !bytes.Equal(stored, made) {
			t.Errorf("%s: the same content gives other bytes", path)
		}
	}
}
