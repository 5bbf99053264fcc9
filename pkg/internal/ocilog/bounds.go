package ocilog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Bounds that readers hold snapshots to and writers stay within (SPEC section
// 8). A writer checks its own before it writes, and they are the smaller ones.
const (
	maxLine       = 2*revision.MaxManifest + 4<<20 // bytes of one record
	maxWindow     = 16 << 20                       // bytes a decompressor looks back
	readSegments  = 64                             // segments of a snapshot that a reader takes
	writeSegments = 8                              // that a writer makes, until some are full
	writeRecords  = 40_000                         // records of a segment beyond which none are added
	writeText     = 128 << 20                      // bytes of a segment, decompressed, likewise
	writeBlob     = 24 << 20                       // bytes of a segment, compressed, likewise
	writeWindow   = 1 << 20

	// Of all snapshots that one reading tries, together.
	trySnapshots = 3
	budgetText   = 1 << 30 // bytes, decompressed
	budgetLines  = 150_000 // records, and lines that are none
	budgetTime   = time.Minute

	// What a snapshot or another reader claims, and the registry does not list,
	// is tried on so many: where the registry has none of them, it has none of the rest.
	tryClaims = 256
)

// Bounds of what one process keeps in memory.
const (
	maxHeld           = 8192      // manifests that no snapshot covers
	maxHeldBytes      = 32 << 20  // of them together
	maxSignatures     = 32        // of one revision
	maxSignatureBytes = 512 << 10 // of one revision, together
	maxCarriedBytes   = 32 << 20  // of signatures that snapshots carry, together
	maxAdded          = 8192      // revisions with signatures that no snapshot carries
	maxSegmentBytes   = 64 << 20  // compressed segments that are being read
)

// budget bounds what one reading spends on everything that nobody has vouched
// for: all snapshots that it tries. What is spent is not given back.
type budget struct {
	ctx                 context.Context
	text, lines         atomic.Int64 // spent
	mostText, mostLines int64
	spent               bool // some of it was, before what is read now
}

// errSpent is why a snapshot was not read to its end that might be another time.
var errSpent = errors.New("what came before it took too much of what is read of snapshots")

// exceeded is the error for more than a snapshot may spend: it is too large for
// any reader, or comes after one that is.
func (b *budget) exceeded(what string) error {
	if b.spent {
		return errSpent
	}
	return fmt.Errorf("%w: more %s than are read", entry.ErrMalformed, what)
}

// newBudget also bounds the time: to half of what ctx leaves, so that the rest
// is left for reading revisions one by one. Call end when the snapshots are
// read.
func newBudget(ctx context.Context) (b *budget, end func()) {
	most := budgetTime
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline)/2)
	}
	within, cancel := context.WithTimeout(ctx, most)
	return &budget{ctx: within, mostText: budgetText, mostLines: budgetLines}, cancel
}

// portion is the part of what is left of the budget that one snapshot may spend,
// so that there is some left for the one that it may want to hide.
func portion(left int64) int64 { return left * 4 / 5 }

// begin bounds what the next snapshot may spend.
func (b *budget) begin() {
	text, lines := b.text.Load(), b.lines.Load()
	b.spent = text > 0 || lines > 0
	b.mostText, b.mostLines = text+portion(budgetText-text), lines+portion(budgetLines-lines)
}

// line takes one line out of the budget.
func (b *budget) line() error {
	if b.lines.Add(1) > b.mostLines {
		return b.exceeded("records")
	}
	return nil
}

// reader takes what is read of r out of the budget.
func (b *budget) reader(r io.Reader) io.Reader { return &budgetReader{b, r} }

type budgetReader struct {
	budget *budget
	base   io.Reader
}

func (r *budgetReader) Read(p []byte) (int, error) {
	if err := r.budget.ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: there is no time left for snapshots", entry.ErrTimeout)
	}
	n, err := r.base.Read(p)
	if r.budget.text.Add(int64(n)) > r.budget.mostText {
		return n, r.budget.exceeded("bytes")
	}
	return n, err
}
