// Package keylock lets one goroutine at a time work on what a key names. What
// other processes do meets elsewhere.
package keylock

import (
	"context"
	"slices"
	"sync"
)

// Locks are locks by key, made as they are taken. The zero value is ready; it
// must not be copied once used. It is safe for concurrent use.
type Locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the keys are given back
}

// Lock waits until none of the keys is held, one or more, and takes them all at
// once: callers with several keys cannot wait for each other. Call unlock once.
// The error is the cause of the context's end.
func (l *Locks) Lock(ctx context.Context, keys ...string) (unlock func(), err error) {
	for {
		wait := l.try(keys)
		if wait == nil {
			return func() { l.unlock(keys) }, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try takes all keys, or returns what to wait for.
func (l *Locks) try(keys []string) (wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(keys, func(key string) bool { return l.held[key] != nil }); i >= 0 {
		return l.held[keys[i]]
	}
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	mine := make(chan struct{})
	for _, key := range keys {
		l.held[key] = mine
	}
	return nil
}

func (l *Locks) unlock(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[keys[0]])
	for _, key := range keys {
		delete(l.held, key)
	}
}
