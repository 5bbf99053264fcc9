// Package bounded holds what another program prints.
package bounded

import (
	"bytes"
	"io"
)

// Buffer takes no more than its bound: a program that prints more is ended, as
// nobody reads on. It hides bytes.Buffer's own ReadFrom, which knows no bound and
// which io.Copy prefers.
type Buffer struct {
	most   int
	buffer bytes.Buffer
}

// New makes a buffer of at most so many bytes.
func New(most int) *Buffer { return &Buffer{most: most} }

// Bytes returns what is held, until the next Write.
func (b *Buffer) Bytes() []byte { return b.buffer.Bytes() }

// Write fails with io.ErrShortBuffer beyond the bound.
func (b *Buffer) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > b.most {
		return 0, io.ErrShortBuffer
	}
	return b.buffer.Write(p)
}
