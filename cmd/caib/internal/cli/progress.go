package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// progress is a line on a terminal that says how much is done. Elsewhere, and
// for few things, there is none.
type progress struct {
	app   *app
	total int

	mu    sync.Mutex
	done  int
	shown time.Time
	drawn bool
}

const (
	progressFrom  = 8 // things worth a bar
	progressWidth = 30
	progressEvery = 100 * time.Millisecond
)

func (a *app) newProgress(total int) *progress { return &progress{app: a, total: total} }

func (p *progress) visible() bool {
	return p.app.system.ErrTerminal && !p.app.settings.quiet && !p.app.settings.verbose && p.total >= progressFrom
}

// step counts one more thing as done.
func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	now := p.app.system.Now()
	if !p.visible() || (now.Sub(p.shown) < progressEvery && p.done < p.total) {
		return
	}
	p.shown, p.drawn = now, true
	full := progressWidth * p.done / p.total
	// Around the guard: the return to the line's beginning is ours.
	fmt.Fprintf(raw(p.app.system.Err), "\r[%s%s] %d/%d", strings.Repeat("=", full), strings.Repeat(" ", progressWidth-full), p.done, p.total)
}

// clear removes the line.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(raw(p.app.system.Err), "\r\x1b[K")
	}
}
