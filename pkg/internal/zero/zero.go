// Package zero finds zeros in pieces of images.
package zero

import "bytes"

// Block is the size of what is zero, or not, as a whole: a multiple of it is where a
// block begins.
const Block = 4 << 10

var zeros [64 << 10]byte

// All reports whether p has nothing but zeros.
func All(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), len(zeros))
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

// Run reports whether p, which is at an offset and not empty, begins with a block of
// zeros, and for how many bytes it goes on like that, block by block. Of the blocks
// at its ends counts what is in p.
func Run(p []byte, at int64) (zero bool, n int) {
	n = min(int(Block-at%Block), len(p))
	zero = All(p[:n])
	for n < len(p) {
		end := min(n+Block, len(p))
		if All(p[n:end]) != zero {
			break
		}
		n = end
	}
	return zero, n
}
