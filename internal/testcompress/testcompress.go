// Package testcompress compresses content for tests, by the libraries that read it too.
package testcompress

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Bytes returns the content as gzip, zstd or lz4; "" is no compression. Any other ends
// the test.
func Bytes(t testing.TB, compression string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch compression {
	case "":
		return content
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b) // no option to refuse
	case "lz4":
		w = lz4.NewWriter(&b)
	default:
		t.Fatalf("no compression %q", compression)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
