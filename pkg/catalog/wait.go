package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

// Between two looks for an image that is waited for: at first, or a twentieth of the
// wait where that is less, and at most.
const (
	firstLook = time.Second
	lastLook  = 15 * time.Second
)

// awaiting returns a step that is taken again while the image it is about, which ref
// names, is not in its registry yet, for as long as the options say since the first
// time that it was not. Whatever else goes wrong, a part of an image that is missing
// included, is not waited for.
func (p *publication) awaiting(step func(context.Context) error, reference string) func(context.Context) error {
	if p.options.Wait <= 0 || reference == "" {
		return step
	}
	return func(ctx context.Context) error {
		w := waiting{of: reference, within: p.options.Wait, until: &p.waitsUntil, absent: func(ctx context.Context, _ error) bool { return p.isAbsent(ctx, reference) }}
		if p.options.Waiting != nil {
			w.told = func(since time.Duration) { p.options.Waiting(reference, since) }
		}
		return w.repeat(ctx, step)
	}
}

// waiting is a wait for something that is not there yet.
type waiting struct {
	of     string // what it is, for messages
	within time.Duration
	until  *time.Time                        // zero before it was missed
	absent func(context.Context, error) bool // reports whether it is that which is not there
	told   func(since time.Duration)         // before each further look; nil is nobody
}

// repeat takes a step again for as long as its error says that something is not there.
func (w *waiting) repeat(ctx context.Context, step func(context.Context) error) error {
	next := min(firstLook, w.within/20)
	for {
		err := step(ctx)
		if err == nil || !errors.Is(err, entry.ErrNotFound) || !w.absent(ctx, err) {
			return err
		}
		left := w.within
		if w.until.IsZero() {
			*w.until = time.Now().Add(left)
		} else {
			left = time.Until(*w.until)
		}
		if left <= 0 {
			return fmt.Errorf("%w: waited %s for it", err, w.within)
		}
		if w.told != nil {
			w.told(w.within - left)
		}
		if err := pause.For(ctx, min(next, left)); err != nil {
			return fmt.Errorf("wait for %s: %w", w.of, err)
		}
		next = min(next*3/2, lastLook)
	}
}

// AwaitEntry takes a step that gets an entry, such as Catalog.Get, again while there
// is no such entry yet, for at most so long; 0 takes it once. told is told, before
// each further look, for how long it has waited; nil is nobody. Whatever else goes
// wrong is not waited for.
func AwaitEntry(ctx context.Context, within time.Duration, told func(since time.Duration), get func(context.Context) error) error {
	if within <= 0 {
		return get(ctx)
	}
	w := waiting{of: "the entry", within: within, until: &time.Time{}, told: told, absent: func(_ context.Context, err error) bool {
		return !errors.Is(err, entry.ErrUnreachable) && !errors.Is(err, entry.ErrUntrusted)
	}}
	return w.repeat(ctx, get)
}

// isAbsent reports whether a registry says that nothing has this reference.
func (p *publication) isAbsent(ctx context.Context, reference string) bool {
	ref, err := imageReference(reference)
	if err != nil {
		return false
	}
	repository, err := p.catalog.opener.open(ref)
	if err != nil {
		return errors.Is(err, entry.ErrNotFound)
	}
	_, err = repository.Resolve(ctx, ref.Target())
	return errors.Is(err, entry.ErrNotFound)
}
