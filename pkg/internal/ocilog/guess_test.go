package ocilog

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// tailFirst answers for a snapshot once some revisions were asked for.
type tailFirst struct {
	*memory
	want  int
	mu    sync.Mutex
	asked chan struct{} // closed once they were
}

func (f *tailFirst) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	if tag, ok := revision.ParseTag(reference); ok && tag.Op != revision.OpSnapshot {
		f.mu.Lock()
		if f.want--; f.want == 0 {
			close(f.asked)
		}
		f.mu.Unlock()
		return f.memory.Manifest(ctx, reference)
	}
	select {
	case <-f.asked:
		return f.memory.Manifest(ctx, reference)
	case <-ctx.Done():
		return ocispec.Descriptor{}, nil, ctx.Err()
	}
}

// What the newest snapshot cannot cover is fetched beside it, each once.
func TestTheTailComesBesideTheSnapshot(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 42)
	from := &tailFirst{memory: target, want: 42 - dueTail, asked: make(chan struct{})}
	var got []string
	requests := target.counted(func() {
		testwait.Return(t, "the reader", func() { got, _ = live(t, newLog(from, "test", Options{})) })
	})
	if diff := cmp.Diff(names, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"tags": 1, "manifest": 1 + 42 - dueTail, "blob": 1}, requests); diff != "" {
		t.Error(diff)
	}
}
