package registry

import (
	"context"
	"errors"
	"io"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/fetch"
)

// blobStream is a blob of another repository as the body of a request. It is read
// there while it is sent, from its beginning each time that a body is made. Its last
// byte is sent once all are known to be right, so that no registry can store what is
// not.
type blobStream struct {
	ctx        context.Context
	from       Repository
	descriptor ocispec.Descriptor

	mu   sync.Mutex
	last *streamBody
}

// body returns a new body, and ends the one before.
func (s *blobStream) body() (io.ReadCloser, error) {
	if _, err := s.end(); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(s.ctx)
	b := &streamBody{pipe: r, cancel: cancel, ended: make(chan struct{})}
	b.run = func() {
		defer close(b.ended)
		held := &withheld{to: w}
		err := fetch.Blob(ctx, s.from, s.descriptor, held, fetch.Options{})
		if err == nil {
			err = held.release()
		}
		b.whole = err == nil
		if ctx.Err() == nil && !errors.Is(err, io.ErrClosedPipe) {
			b.err = err
		}
		w.CloseWithError(err) // nil is io.EOF
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = b
	return b, nil
}

// end stops reading. It reports whether all of the last body was taken, and returns
// why it broke off, if that was for want of what it is read from.
func (s *blobStream) end() (whole bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return false, nil
	}
	s.last.Close()
	<-s.last.ended
	return s.last.whole, s.last.err
}

// streamBody is a body that is read from elsewhere, from its first Read on.
type streamBody struct {
	pipe   *io.PipeReader
	cancel context.CancelFunc
	begin  sync.Once
	run    func()
	ended  chan struct{}
	whole  bool  // all of it was taken; set before ended is closed, as err is
	err    error // of what it is read from
}

func (b *streamBody) Read(p []byte) (int, error) {
	b.begin.Do(func() { go b.run() })
	return b.pipe.Read(p)
}

// Close stops reading. It may be called often, and at any time.
func (b *streamBody) Close() error {
	b.begin.Do(func() { close(b.ended) })
	b.cancel()
	return b.pipe.Close()
}

// withheld passes on what is written to it, but for the last byte.
type withheld struct {
	to   io.Writer
	last []byte
}

func (h *withheld) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := h.release(); err != nil {
		return 0, err
	}
	if _, err := h.to.Write(p[:len(p)-1]); err != nil {
		return 0, err
	}
	h.last = append(h.last[:0], p[len(p)-1])
	return len(p), nil
}

func (h *withheld) release() error {
	if len(h.last) == 0 {
		return nil
	}
	_, err := h.to.Write(h.last)
	return err
}
