package imagecopy

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// copyBlobs copies the blobs of a tree, each once.
func (r *run) copyBlobs(ctx context.Context, t *tree) error {
	seen := map[digest.Digest]bool{}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(r.options.Parallel)
	for _, n := range t.nodes {
		if n.kept {
			continue
		}
		for _, d := range n.blobs() {
			if !seen[d.Digest] {
				seen[d.Digest] = true
				group.Go(func() error { return r.copyBlob(within, d) })
			}
		}
	}
	return group.Wait()
}

func (r *run) copyBlob(ctx context.Context, d ocispec.Descriptor) error {
	unlock, err := r.target.locks.Lock(ctx, d.Digest.String())
	if err != nil {
		return err
	}
	defer unlock()
	if r.target.there.Contains(d.Digest) {
		return nil
	}
	moved, err := r.moveBlob(ctx, d)
	if err != nil {
		return err
	}
	r.target.there.Add(d.Digest, struct{}{})
	r.count(func(result *Result) {
		result.Blobs++
		result.Moved += moved
	})
	return nil
}

// moveBlob copies a blob when there is room for one more.
func (r *run) moveBlob(ctx context.Context, d ocispec.Descriptor) (int64, error) {
	rooms := []chan struct{}{r.slots}
	if d.Size > large {
		rooms = []chan struct{}{r.large, r.slots}
	}
	for _, room := range rooms {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	moved, err := r.to.CopyBlob(ctx, d, &counted{r.from, r.Copier})
	if empty := ocispec.DescriptorEmptyJSON; errors.Is(err, entry.ErrNotFound) && d.Digest == empty.Digest { // many registries have none
		return 0, r.to.PushBlob(ctx, empty, empty.Data)
	}
	return moved, err
}

// counted is a source whose bytes are counted.
type counted struct {
	registry.Repository
	copier *Copier
}

// Unwrap says what repository it is.
func (c *counted) Unwrap() registry.Repository { return c.Repository }

// OpenBlob implements registry.Repository.
func (c *counted) OpenBlob(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	body, from, err := c.Repository.OpenBlob(ctx, d, offset)
	if err != nil || c.copier.options.Progress == nil {
		return body, from, err
	}
	return &countedBody{body, c.copier}, from, nil
}

type countedBody struct {
	io.ReadCloser
	copier *Copier
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.copier.mu.Lock()
		defer b.copier.mu.Unlock()
		b.copier.moved += int64(n)
		b.copier.options.Progress(b.copier.moved)
	}
	return n, err
}
