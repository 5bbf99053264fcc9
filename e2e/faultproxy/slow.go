package faultproxy

import (
	"net/http"
	"slices"
	"time"
)

// pieces is how many pieces a body that trickles comes in, at most.
const pieces = 8

// trickle writes a body in pieces with a pause before each but the first, until
// the client goes away; without a pause, all of it at once.
func trickle(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) {
	if pause <= 0 || len(body) == 0 {
		_, _ = w.Write(body)
		return
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	first := true
	for piece := range slices.Chunk(body, max(1, (len(body)+pieces-1)/pieces)) {
		if !first {
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
		first = false
		_, _ = w.Write(piece)
		_ = http.NewResponseController(w).Flush()
	}
}

func (f Faults) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}
