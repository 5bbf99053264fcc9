package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// maxUnboundedAnswer is the longest wait for the beginning of an answer where no
// deadline bounds it. Some registries take more than half a minute for a first
// byte, and asking them again makes them begin again: where the command has a
// deadline, that alone decides.
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
	timer := time.AfterFunc(maxUnboundedAnswer, func() { cancel(errNoAnswer) })
	response, err := p.base.RoundTrip(request.WithContext(ctx))
	if timer.Stop(); err != nil {
		if errors.Is(context.Cause(ctx), errNoAnswer) {
			err = errNoAnswer
		}
		cancel(nil)
		return nil, err
	}
	response.Body = &cancelBody{response.Body, cancel}
	return response, nil
}

type cancelBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
