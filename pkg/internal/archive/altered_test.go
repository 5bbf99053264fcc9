package archive

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

// refused opens what is no archive.
func refused(t *testing.T, what string, content []byte) {
	t.Helper()
	if r, err := Open(t.Context(), bytes.NewReader(content), int64(len(content))); !errors.Is(err, entry.ErrMalformed) || r != nil {
		t.Errorf("%s: got %v, want malformed", what, err)
	}
}

// No byte of an archive can be another one, none can be missing, and none can follow:
// every byte of a header, of the end, and one of eight of the others.
func TestEveryByteIsChecked(t *testing.T) {
	for form, compress := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newSample(t, 300)
			text := archived(t, compress, options(), func(w *Writer) { s.write(t, w) })
			opened(t, text)
			random := rand.New(rand.NewPCG(1, 2))
			for at := range text {
				if at > block && at < len(text)-tailSize-block && random.IntN(8) > 0 {
					continue
				}
				changed := slices.Clone(text)
				changed[at] ^= 1 << random.IntN(8)
				refused(t, "an altered byte", changed)
				refused(t, "a cut", text[:at])
				if t.Failed() {
					t.Fatalf("at byte %d of %d", at, len(text))
				}
			}
			for what, more := range map[string][]byte{
				"a byte": {0}, "a block of zeros": make([]byte, block), "two blocks of zeros": make([]byte, 2*block), "itself": text,
				"a skippable frame": sumFrame(newHash(text)),
			} {
				refused(t, what+" follows", append(slices.Clone(text), more...))
				refused(t, what+" precedes", append(slices.Clone(more), text...))
			}
			refused(t, "a part that is missing", slices.Delete(slices.Clone(text), 512, 1024))
			refused(t, "two blocks that are swapped", slices.Concat(text[512:1024], text[:512], text[1024:]))
		})
	}
}

// The same for one that is too large to try each byte.
func TestALargeArchiveIsChecked(t *testing.T) {
	for form, compress := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newSample(t, small+1000)
			text := archived(t, compress, options(), func(w *Writer) { s.write(t, w) })
			random := rand.New(rand.NewPCG(3, 4))
			for range 20 {
				at := random.IntN(len(text))
				text[at] ^= 0x40
				refused(t, "an altered byte", text)
				text[at] ^= 0x40
				refused(t, "a cut", text[:at])
			}
			opened(t, text)
		})
	}
}
