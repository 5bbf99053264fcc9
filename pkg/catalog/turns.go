package catalog

import (
	"context"
	"slices"
	"sync"
)

// turns lets one writer at a time decide about a name or an image, among those
// that share a Catalog: what it found in the log still holds when it appends.
// Writers of other processes meet in the log (SPEC section 5). The zero value
// is ready.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when the turn ends
}

// take waits until none of the keys is taken, and takes them. Call done once.
func (t *turns) take(ctx context.Context, keys ...string) (done func(), err error) {
	for {
		wait := t.try(keys)
		if wait == nil {
			return func() { t.end(keys) }, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try takes all keys, or returns what to wait for.
func (t *turns) try(keys []string) (wait <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(keys, func(key string) bool { return t.taken[key] != nil }); i >= 0 {
		return t.taken[keys[i]]
	}
	if t.taken == nil {
		t.taken = map[string]chan struct{}{}
	}
	ended := make(chan struct{})
	for _, key := range keys {
		t.taken[key] = ended
	}
	return nil
}

func (t *turns) end(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.taken[keys[0]])
	for _, key := range keys {
		delete(t.taken, key)
	}
}
