package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxUnboundedAnswer is the longest wait for the beginning of an answer where no
// deadline bounds it, after the last byte of the request was taken. Some registries
// take more than half a minute for a first byte, and asking them again makes them
// begin again: where the command has a deadline, that alone decides.
const maxUnboundedAnswer = 5 * time.Minute

var errNoAnswer = errors.New("no answer within " + maxUnboundedAnswer.String())

// patience ends exchanges without a deadline that get no answer.
type patience struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p *patience) RoundTrip(request *http.Request) (*http.Response, error) {
	if _, bounded := request.Context().Deadline(); bounded {
		return p.base.RoundTrip(request)
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	watch := &watch{timer: time.AfterFunc(maxUnboundedAnswer, func() { cancel(errNoAnswer) })}
	request = request.WithContext(ctx)
	if request.Body != nil && request.Body != http.NoBody {
		request.Body = &watchedBody{request.Body, watch}
	}
	response, err := p.base.RoundTrip(request)
	watch.end()
	if err != nil {
		if errors.Is(context.Cause(ctx), errNoAnswer) {
			err = errNoAnswer
		}
		cancel(nil)
		return nil, err
	}
	response.Body = &cancelBody{response.Body, cancel}
	return response, nil
}

// watch is how long a registry has not moved.
type watch struct {
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// rest stops the watch while it is not the registry that is waited for.
func (w *watch) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.timer.Reset(maxUnboundedAnswer)
	}
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}

// watchedBody is the body of a request: each piece of it that is taken begins the wait
// anew.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.rest()
	defer b.watch.begin()
	return b.ReadCloser.Read(p)
}

type cancelBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
