package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/place"
)

// checkCache reports a directory for stored bytes where they have another place.
func (p *puller) checkCache() error {
	if p.options.CacheDir == "" || len(p.jobs) == 1 && (p.jobs[0].path == "" || p.jobs[0].device != nil) {
		return nil
	}
	return fmt.Errorf("%w: cache %s: only what is written to a device or to an output is stored there; beside a file, it is in its .part", entry.ErrInvalid, p.options.CacheDir)
}

// streamOnce is stream to what takes each byte once, and has no room for stored bytes:
// they are in the cache, if there is one. Those that an earlier run left are written
// first; that they are wrong is known only at the end, and then they are forgotten.
func (p *puller) streamOnce(ctx context.Context, job *pullJob, to io.Writer, pulled *PulledFile) (int64, error) {
	if p.options.CacheDir == "" {
		return p.stream(ctx, job, p.fetching(job, 0), to)
	}
	if err := os.MkdirAll(p.options.CacheDir, 0o700); err != nil {
		return 0, fmt.Errorf("%w: cache: %w", entry.ErrInvalid, err)
	}
	d := job.descriptor.Digest
	path := filepath.Join(p.options.CacheDir, d.Algorithm().String()+"-"+d.Encoded())
	stored, err := place.Begin(path, d.String(), job.descriptor.Size, true)
	if err != nil {
		return 0, err
	}
	begun, size := stored.Begun()
	options := p.fetching(job, size)
	options.Begun, options.BegunSize, options.Store = begun, size, stored.Store()
	pulled.Resumed = size
	written, err := p.stream(ctx, job, options, to)
	if stored.Leave(err != nil && !errors.Is(err, entry.ErrMalformed)) {
		pulled.Part = path + place.Suffix
	}
	return written, err
}
