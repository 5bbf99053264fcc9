package place

import (
	"bytes"
	"os"
)

// block is the size of what becomes a hole where it is zero.
const block = 4 << 10

var zeros [block]byte

// holes writes to a file that ends where it begins, and leaves holes where blocks are zero. The file is as
// long as what was written, whatever it ends in.
type holes struct {
	file *os.File
	at   int64
}

func (h *holes) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		hole := isHole(p[written:], h.at)
		end := written + run(p[written:], h.at, hole)
		if !hole {
			if _, err := h.file.WriteAt(p[written:end], h.at); err != nil {
				return written, explain(err)
			}
		}
		h.at += int64(end - written)
		if written = end; hole && written == len(p) {
			if err := h.file.Truncate(h.at); err != nil {
				return written, explain(err)
			}
		}
	}
	return written, nil
}

// isHole reports whether p is zero as far as the block goes that it begins in. What
// was never written is zero, so a part of a block need not be written either.
func isHole(p []byte, at int64) bool {
	n := min(int(block-at%block), len(p))
	return bytes.Equal(p[:n], zeros[:n])
}

// run is how long p goes on as it begins.
func run(p []byte, at int64, hole bool) int {
	n := int(block - at%block)
	for n < len(p) && isHole(p[n:], at+int64(n)) == hole {
		n += block
	}
	return min(n, len(p))
}
