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
		next := min(firstLook, p.options.Wait/20)
		for {
			err := step(ctx)
			if err == nil || !errors.Is(err, entry.ErrNotFound) || !p.isAbsent(ctx, reference) {
				return err
			}
			left := p.options.Wait
			if p.waitsUntil.IsZero() {
				p.waitsUntil = time.Now().Add(left)
			} else {
				left = time.Until(p.waitsUntil)
			}
			if left <= 0 {
				return fmt.Errorf("%w: waited %s for it", err, p.options.Wait)
			}
			if p.options.Waiting != nil {
				p.options.Waiting(reference, p.options.Wait-left)
			}
			if err := pause.For(ctx, min(next, left)); err != nil {
				return fmt.Errorf("wait for %s: %w", reference, err)
			}
			next = min(next*3/2, lastLook)
		}
	}
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
