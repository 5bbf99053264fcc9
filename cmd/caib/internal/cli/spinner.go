package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// spinner shows on a terminal that a command which says nothing is still at work.
// Whatever else is printed comes in its place.
type spinner struct {
	to    io.Writer
	now   func() time.Time
	begun time.Time

	mu    sync.Mutex
	drawn bool
	ended chan struct{} // nil once it has ended
	gone  chan struct{} // closed when nothing more will be drawn
}

const (
	spinnerAfter = time.Second
	spinnerEvery = 120 * time.Millisecond
	spinnerSigns = `|/-\`
)

// spin begins a spinner, where a person would see it, and returns what ends it.
func (a *app) spin() (end func()) {
	out, isGuarded := a.system.Err.(*plainWriter)
	results, _ := a.system.Out.(*plainWriter)
	if !a.system.ErrTerminal || a.settings.quiet || a.settings.verbose || a.system.spinAfter <= 0 || !isGuarded || results == nil {
		return func() {}
	}
	s := &spinner{to: out.to, now: a.system.Now, begun: a.system.Now(), ended: make(chan struct{}), gone: make(chan struct{})}
	out.spinner, results.spinner = s, s
	go s.run(a.system.spinAfter, s.ended)
	return func() { s.end(); <-s.gone }
}

func (s *spinner) run(after time.Duration, ended chan struct{}) {
	defer close(s.gone)
	next := time.NewTimer(after)
	defer next.Stop()
	for frame := 0; ; frame++ {
		select {
		case <-ended:
			return
		case <-next.C:
		}
		s.mu.Lock()
		if s.ended != nil {
			fmt.Fprintf(s.to, "\r\x1b[K%c %s", spinnerSigns[frame%len(spinnerSigns)], age(s.now().Sub(s.begun)))
			s.drawn = true
		}
		s.mu.Unlock()
		next.Reset(spinnerEvery)
	}
}

// end ends the spinner: what comes now draws for itself. It may be called again, and
// of none.
func (s *spinner) end() {
	if s == nil {
		return
	}
	defer s.pause()()
	if s.ended != nil {
		close(s.ended)
		s.ended = nil
	}
}

// pause takes the spinner off the terminal until resume is called.
func (s *spinner) pause() (resume func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	if s.drawn {
		fmt.Fprint(s.to, "\r\x1b[K")
		s.drawn = false
	}
	return s.mu.Unlock
}
