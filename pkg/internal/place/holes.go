package place

import (
	"os"

	"github.com/oci-catalog/caib/pkg/internal/zero"
)

// holes writes to a file that ends where it begins, and leaves holes where blocks are
// zero: what was never written is. The file is as long as what was written, whatever
// it ends in.
type holes struct {
	file *os.File
	at   int64
}

func (h *holes) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		hole, n := zero.Run(p[written:], h.at)
		end := written + n
		if !hole {
			if _, err := h.file.WriteAt(p[written:end], h.at); err != nil {
				return written, explain(err)
			}
		}
		h.at += int64(n)
		if written = end; hole && written == len(p) {
			if err := h.file.Truncate(h.at); err != nil {
				return written, explain(err)
			}
		}
	}
	return written, nil
}
