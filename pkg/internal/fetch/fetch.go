// Package fetch transfers one blob of a repository, of any size, and takes its
// hash on the way. A transfer that breaks goes on where it broke, with the hash
// and whoever reads the bytes alive; one that begins in another process goes on
// from the bytes that are on the disk.
//
//	err := fetch.Blob(ctx, repository, descriptor, to, fetch.Options{})
//
// Every byte is written once and in order, before it is known whether the whole
// is right: only a nil error says that it is.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

// Source is where a blob is: a repository of package registry.
type Source interface {
	OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (content io.ReadCloser, from int64, err error)
}

// Options say how a blob is transferred.
type Options struct {
	// Stall is how long less than Least bytes may come before the transfer counts as
	// broken; 0 is 60s.
	Stall time.Duration
	// Attempts bounds how often in a row a transfer breaks with less than Least new
	// bytes; 0 is 10.
	Attempts int
	// Backoff is the wait after the first break, doubled up to 30s; 0 is 200ms.
	Backoff time.Duration
	// Begun holds the first bytes of the blob, from an earlier transfer, and
	// BegunSize is how many; nil is none.
	Begun     io.Reader
	BegunSize int64
	// Store is written every byte that is transferred, and none of Begun; nil is
	// nowhere.
	Store io.Writer
	// Progress is told how many bytes of the blob there are after each piece; nil
	// is nobody.
	Progress func(bytes int64)
}

// ErrAltered: the bytes are not those of the digest. It is an entry.ErrMalformed.
var ErrAltered error = altered{}

type altered struct{}

func (altered) Error() string        { return "malformed: the bytes are not those of the digest" }
func (altered) Is(target error) bool { return target == entry.ErrMalformed }

// Least is how many bytes are progress. Who sends less in a minute, be it a byte now
// and then, sends nothing that anybody could wait for.
const Least = 1 << 10

const (
	stall      = 60 * time.Second
	attempts   = 10
	backoff    = 200 * time.Millisecond
	maxBackoff = 30 * time.Second
	// refusals is how often in a row a registry may refuse to go on with what it
	// began: a token or an address may have expired.
	refusals  = 3
	chunkSize = 256 << 10
)

// stalled is the error of a transfer of which too little came.
func stalled(within time.Duration) error {
	return fmt.Errorf("%w: it stalls: less than %d bytes came in %s", entry.ErrUnreachable, Least, within)
}

// transfer is a blob under way.
type transfer struct {
	source     Source
	descriptor ocispec.Descriptor
	options    Options
	hash       hash.Hash
	to         io.Writer
	done       int64 // bytes that were hashed and written
	begun      int64 // of them, those of Begun
	buffer     []byte
}

// Blob writes the content of a descriptor to a writer. It returns nil only if all
// of it was written and has the descriptor's size and digest. Bytes that are not
// those of the digest are an ErrAltered, a blob of another size is another
// entry.ErrMalformed; errors of writers are returned as they are.
func Blob(ctx context.Context, source Source, descriptor ocispec.Descriptor, to io.Writer, options Options) error {
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, descriptor.Digest, err)
	}
	if options.Stall <= 0 {
		options.Stall = stall
	}
	if options.Attempts <= 0 {
		options.Attempts = attempts
	}
	if options.Backoff <= 0 {
		options.Backoff = backoff
	}
	if options.Progress == nil {
		options.Progress = func(int64) {}
	}
	t := &transfer{source: source, descriptor: descriptor, options: options, hash: descriptor.Digest.Algorithm().Hash(), to: to, buffer: make([]byte, chunkSize)}
	if err := t.readBegun(ctx); err != nil {
		return err
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	if got := digest.NewDigest(descriptor.Digest.Algorithm(), t.hash); got != descriptor.Digest {
		return fmt.Errorf("fetch %s: %w: theirs is %s", descriptor.Digest, ErrAltered, got)
	}
	return nil
}

// readBegun takes what an earlier transfer left, as far as it can be read.
func (t *transfer) readBegun(ctx context.Context) error {
	if t.options.Begun == nil {
		return nil
	}
	from := io.LimitReader(t.options.Begun, min(t.options.BegunSize, t.descriptor.Size))
	for ctx.Err() == nil {
		n, err := from.Read(t.buffer)
		if err := t.take(t.buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			t.begun = t.done
			return nil
		}
		if err != nil {
			return fmt.Errorf("read what was fetched before: %w", err)
		}
	}
	return interrupted(ctx)
}

// take hashes and writes the next bytes.
func (t *transfer) take(p []byte) error {
	t.hash.Write(p)
	if len(p) == 0 {
		return nil
	}
	if _, err := t.to.Write(p); err != nil {
		return &writeError{err}
	}
	t.done += int64(len(p))
	t.options.Progress(t.done)
	return nil
}

// writeError is an error of a writer, which no repeated transfer mends.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// run transfers what is missing, in as many pieces as it breaks into.
func (t *transfer) run(ctx context.Context) error {
	for failures, refused := 0, 0; t.done < t.descriptor.Size; {
		before := t.done
		err := t.piece(ctx)
		var writing *writeError
		switch {
		case errors.As(err, &writing):
			return writing.error
		case err == nil:
			continue
		case ctx.Err() != nil:
			return interrupted(ctx)
		}
		if t.done-before >= Least {
			failures, refused = 0, 0
		}
		failures++
		if errors.Is(err, entry.ErrUnauthorized) {
			refused++
		}
		if failures >= t.options.Attempts || t.final(err, refused) {
			return fmt.Errorf("fetch %s, at %d of %d bytes: %w", t.descriptor.Digest, t.done, t.descriptor.Size, err)
		}
		if pause.For(ctx, min(t.options.Backoff<<min(failures-1, 16), maxBackoff)) != nil {
			return interrupted(ctx)
		}
	}
	return nil
}

// final reports whether no repeated transfer mends an error.
func (t *transfer) final(err error, refused int) bool {
	switch {
	case errors.Is(err, entry.ErrInvalid), errors.Is(err, entry.ErrMalformed), errors.Is(err, entry.ErrNotFound):
		return true
	case errors.Is(err, entry.ErrUnauthorized):
		return t.done == t.begun || refused >= refusals
	}
	return false
}

// interrupted is the error of a context that ended.
func interrupted(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("fetch: %w", entry.ErrTimeout)
	}
	return context.Cause(ctx)
}

// piece transfers from one answer of the source.
func (t *transfer) piece(ctx context.Context) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	content, from, err := t.source.OpenBlob(within, t.descriptor, t.done)
	if err != nil {
		return err
	}
	defer content.Close()
	watch := time.AfterFunc(t.options.Stall, func() { cancel(stalled(t.options.Stall)) })
	defer watch.Stop()
	left, came := t.options.Stall, 0 // of the time that Least bytes may take, and of them
	read := func(most int64) (int, error) {
		watch.Reset(left)
		start := time.Now()
		n, err := content.Read(t.buffer[:min(most, chunkSize)])
		watch.Stop() // writing has all the time it needs
		left -= time.Since(start)
		if came += n; came >= Least {
			left, came = t.options.Stall, 0
		}
		if err != nil && ctx.Err() == nil && within.Err() != nil {
			err = context.Cause(within)
		}
		return n, err
	}
	for skip := t.done - from; skip > 0; { // the source serves no ranges
		n, err := read(skip)
		if skip -= int64(n); err != nil && skip > 0 {
			return broken(err)
		}
	}
	for t.done < t.descriptor.Size {
		n, err := read(t.descriptor.Size - t.done)
		if taken := t.store(t.buffer[:n]); taken != nil {
			return taken
		}
		if err != nil && t.done < t.descriptor.Size {
			return broken(err)
		}
	}
	if n, _ := read(1); n > 0 {
		return fmt.Errorf("%w: the blob is longer than the %d bytes that it should have", entry.ErrMalformed, t.descriptor.Size)
	}
	return nil
}

// store keeps bytes before they are taken, so that those that are taken are
// never less than those that are kept.
func (t *transfer) store(p []byte) error {
	if t.options.Store != nil && len(p) > 0 {
		if _, err := t.options.Store.Write(p); err != nil {
			return &writeError{err}
		}
	}
	return t.take(p)
}

// broken is the end of a body that came too early.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the answer ends early", entry.ErrUnreachable)
	}
	return err
}
