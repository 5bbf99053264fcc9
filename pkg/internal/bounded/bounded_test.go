package bounded

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestBuffer(t *testing.T) {
	const most = 100
	b := New(most)
	if _, err := io.Copy(b, strings.NewReader(strings.Repeat("x", most))); err != nil || len(b.Bytes()) != most {
		t.Errorf("up to the bound: got %d bytes, %v, want %d", len(b.Bytes()), err, most)
	}
	if _, err := io.Copy(b, strings.NewReader("x")); !errors.Is(err, io.ErrShortBuffer) || len(b.Bytes()) != most {
		t.Errorf("beyond the bound: got %d bytes, %v, want %d and an error", len(b.Bytes()), err, most)
	}
}
