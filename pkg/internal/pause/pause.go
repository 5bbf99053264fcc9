// Package pause waits.
package pause

import (
	"context"
	"time"
)

// For waits, or returns the context's error if that ends first.
func For(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
