package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// cachePath is where stored bytes are.
func (p *puller) cachePath(job *pullJob) string {
	d := job.descriptor.Digest
	return filepath.Join(p.options.CacheDir, d.Algorithm().String()+"-"+d.Encoded())
}

// errWritten: what was written cannot be taken back.
var errWritten = errors.New("it cannot be taken back")

// restarter is written what a file holds.
type restarter interface {
	io.Writer
	// Restart goes back to the beginning, or is errWritten.
	Restart() error
}

// output is what takes each byte once.
type output struct {
	to      io.Writer
	written bool
}

func (o *output) Write(p []byte) (int, error) {
	o.written = o.written || len(p) > 0
	return o.to.Write(p)
}

func (o *output) Restart() error {
	if o.written {
		return errWritten
	}
	return nil
}

// cached has the stored bytes of what has no room for them in the cache, if there is
// one.
type cached struct {
	stored *place.File // nil is none
	to     restarter
}

func (c *cached) Begun() (io.Reader, int64) {
	if c.stored == nil {
		return nil, 0
	}
	return c.stored.Begun()
}

func (c *cached) Store() io.Writer {
	if c.stored == nil {
		return nil
	}
	return c.stored.Store()
}

func (c *cached) Restart() error {
	if err := c.to.Restart(); err != nil || c.stored == nil {
		return err
	}
	return c.stored.Restart()
}

// streamCached is stream to what has no room for stored bytes: they are in the cache,
// if there is one. Those that an earlier run left are written first; that they are
// wrong is known only at the end, and then they are forgotten. They are needed no more
// once all is written and commit, where it is not nil, has made it last.
func (p *puller) streamCached(ctx context.Context, job *pullJob, to restarter, commit func(context.Context) error, pulled *PulledFile) (written int64, err error) {
	target := &cached{to: to}
	path := ""
	if p.options.CacheDir != "" {
		if err := place.MakeDir(p.options.CacheDir); err != nil {
			return 0, fmt.Errorf("cache: %w", err)
		}
		path = p.cachePath(job)
		if target.stored, err = place.Begin(path, job.descriptor.Digest.String(), job.descriptor.Size, true); err != nil {
			return 0, err
		}
	}
	written, err = p.intoFile(ctx, job, target, to, pulled)
	if err == nil && commit != nil {
		err = commit(ctx)
	}
	if target.stored != nil && target.stored.Leave(err != nil && !isWrong(err)) {
		pulled.Part = path + place.Suffix
	}
	return written, err
}
