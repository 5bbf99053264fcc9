package archive

import (
	"bytes"
	"testing"

	"github.com/opencontainers/go-digest"
)

// The encoding of headers is a stored format (SPEC section 22): every version of Go
// has to make the same.
func TestHeadersAreAsTheyWere(t *testing.T) {
	long, err := blobName(digest.SHA512.FromString("x"))
	must(t, err)
	short, err := blobName(digest.FromString("x"))
	must(t, err)
	for _, c := range []struct {
		name string
		size int64
		want digest.Digest
	}{
		{layoutName, 30, "sha256:1d8120dce56497c5ca6be8067ab5cde55b4a6490300a3bd1c4181306816efc50"},
		{short, 1<<33 - 1, "sha256:0f8e7f1fea351a7d04c6ead81255de0220e5288958534a99c4894b499384140f"},
		{short, 1 << 33, "sha256:b6597a02debe36035d7d8de4e014a4d6a2b3a642c95cb809b4f6e1674188c4a5"},
		{long, 5, "sha256:7ffb60e4ce509e8c1d177355e1f784805e6f943a7a559755a7512b09a35b51e1"},
	} {
		got, err := header(c.name, c.size)
		must(t, err)
		if digest.FromBytes(got) != c.want {
			t.Errorf("the header of %s with %d bytes has the digest %s, want %s", c.name, c.size, digest.FromBytes(got), c.want)
		}
	}
}

// FuzzOpen opens what anybody made: by itself, and with an end that is right.
func FuzzOpen(f *testing.F) {
	s := newSample(f, 300)
	for _, compress := range forms {
		text := archived(f, compress, options(), func(w *Writer) { s.write(f, w) })
		f.Add(text, "")
	}
	whole := archived(f, false, options(), func(w *Writer) { s.write(f, w) })
	start := bytes.LastIndex(whole, []byte(contentsName+"\x00"))
	contents := whole[start+block:][:bytes.IndexByte(whole[start+block:], 0)]
	f.Add(whole[:start], string(contents))
	f.Fuzz(func(t *testing.T, text []byte, contents string) {
		if contents != "" {
			text = forge(t, text, contents)
		}
		r, err := Open(t.Context(), bytes.NewReader(text), int64(len(text)))
		if err != nil {
			return
		}
		tags, err := r.Tags(t.Context())
		must(t, err)
		for _, tag := range tags {
			_, _, err := r.Manifest(t.Context(), tag)
			must(t, err)
		}
		for _, file := range r.Contents.Blobs {
			_, err := r.Referrers(t.Context(), describeFile(file))
			must(t, err)
		}
	})
}
