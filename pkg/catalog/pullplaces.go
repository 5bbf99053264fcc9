package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/registry"
)

// several is what a repository of package registry is, beside a
// registry.Repository, that stands for several places.
type several interface {
	// Answered returns the repository that a content came from; "" is none.
	Answered(d digest.Digest) string
	// Reject says that what was sent of a content is not right, and reports whether
	// there is another place to ask.
	Reject(ctx context.Context, d digest.Digest, reason error) (others bool)
}

// openMirrored opens a repository to read from by digest, wherever its content is: in
// copies, which are let through already, too. The gate lets through what others named;
// the mirrors the reader named.
func (o *opener) openMirrored(ref registry.Reference, copies ...registry.Reference) (registry.Repository, error) {
	ref, err := o.pass(ref)
	if err != nil || o.only != nil {
		return o.only, err
	}
	return o.client.OpenMirrored(ref, copies...)
}

// openAnonymously is openMirrored, and shows no login to what the reference itself names.
func (o *opener) openAnonymously(ref registry.Reference, copies ...registry.Reference) (registry.Repository, error) {
	ref, err := o.pass(ref)
	if err != nil || o.only != nil {
		return o.only, err
	}
	return o.client.OpenAnonymously(ref, copies...)
}

// answered is where a file came from.
func (job *pullJob) answered() string {
	if places, ok := job.repository.(several); ok {
		if at := places.Answered(job.descriptor.Digest); at != "" {
			return at
		}
	}
	return job.place
}

// another reports whether an error of a file is one of the place that it came from,
// and another place is to be asked for all of it.
func (job *pullJob) another(ctx context.Context, err error) bool {
	places, ok := job.repository.(several)
	return ok && isWrong(err) && ctx.Err() == nil && places.Reject(ctx, job.descriptor.Digest, err)
}

// attempts is what a file is written to: one place's bytes after another's, until they
// are right.
type attempts interface {
	// Begun returns the stored bytes that are there, and how many.
	Begun() (io.Reader, int64)
	// Store returns the writer of stored bytes; nil is nowhere.
	Store() io.Writer
	// Restart forgets what is stored, and what was written of it.
	Restart() error
}

// untilRight fetches a file by step: from what an earlier run left of it on, and where
// that turns out to be wrong, anew, from each place that there is.
func (job *pullJob) untilRight(ctx context.Context, target attempts, step func(fetch.Options) error) error {
	for {
		options := fetch.Options{Store: target.Store()}
		options.Begun, options.BegunSize = target.Begun()
		err := step(options)
		if !isWrong(err) {
			return err
		}
		if restart := target.Restart(); errors.Is(restart, errWritten) {
			return fmt.Errorf("%w, and what was written cannot be taken back", err)
		} else if restart != nil {
			return restart
		}
		if options.BegunSize == 0 && !job.another(ctx, err) {
			return err
		}
	}
}

// fromPlace names the place in an error of bytes that were not right.
func (job *pullJob) fromPlace(err error) error {
	if at := job.answered(); isWrong(err) && at != job.place {
		return fmt.Errorf("%w; it came from %s", err, at)
	}
	return err
}

// answered is where the last blob of an image came from.
func (c *container) answered() string {
	if len(c.blobs) == 0 {
		return c.place
	}
	job := pullJob{repository: c.repository, descriptor: c.blobs[len(c.blobs)-1], place: c.place}
	return job.answered()
}

// elsewhere reports whether all files came from elsewhere than their entry says: who
// has mirrors may have nothing else.
func (p *puller) elsewhere() bool {
	if p.container != nil {
		return p.container.answered() != p.container.place
	}
	for _, job := range p.jobs {
		if job.answered() == job.place {
			return false
		}
	}
	return true
}
