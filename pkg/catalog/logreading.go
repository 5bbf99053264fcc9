package catalog

import (
	"context"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
)

// logReading reads the log while something else is under way that takes as long.
type logReading struct {
	begun  time.Time
	writes int64 // of this catalog when it began
	stop   context.CancelFunc
	done   chan struct{}

	view *ocilog.View
	err  error
}

// startReading begins to read the log for who publishes a reference under a name. The
// caller calls end.
func (c *Catalog) startReading(ctx context.Context, name, reference string) *logReading {
	ctx, cancel := context.WithCancel(ctx)
	r := &logReading{begun: time.Now(), writes: c.writes.Load(), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if r.view, r.err = c.refresh(ctx, name); r.err == nil {
			// Into memory; an error of it comes again.
			if _, err := r.view.Head(ctx, name, zeroTime); err == nil {
				_, _ = r.view.HeadsFrom(ctx, reference)
			}
		}
	}()
	return r
}

// maxReadingAge bounds the age of what is decided by: what others write meanwhile is met
// after the publication only.
const maxReadingAge = 5 * time.Second

// result waits for the reading, and reads again where something was written here since
// it began, or where that is long ago. It is nil-safe: nothing was begun.
func (r *logReading) result(ctx context.Context, c *Catalog, name string) (*ocilog.View, error) {
	if r == nil {
		return c.refresh(ctx, name)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r.writes != c.writes.Load() || time.Since(r.begun) > maxReadingAge {
		return c.refresh(ctx, name)
	}
	return r.view, r.err
}

// end gives up what was begun, and waits until it has ended.
func (r *logReading) end() {
	if r != nil {
		r.stop()
		<-r.done
	}
}
