package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

const (
	maxAnswer = 64 << 20 // bytes of one answer
	maxWait   = 60       // seconds between attempts, whatever the server asks
)

const imagesPath = api.Root + "/images"

// request is one request of the API.
type request struct {
	method, path string
	query        url.Values
	body         any           // sent as JSON; nil is none
	match        digest.Digest // the revision that it is about; "" is any
}

// ask makes a request and returns the answer, or none of it with an error.
func ask[T any](ctx context.Context, c *Client, r request) (T, error) {
	var answer, none T
	if err := c.call(ctx, r, &answer); err != nil {
		return none, err
	}
	return answer, nil
}

// call makes a request and decodes the answer. Where the server asks to wait, it
// waits, as long as ctx lets it.
func (c *Client) call(ctx context.Context, r request, into any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return err
		}
	}
	for {
		wait, err := c.once(ctx, r, body, into)
		if wait <= 0 {
			return err
		}
		if pause.For(ctx, wait) != nil {
			return err
		}
	}
}

// once makes one request. A wait above 0 says when to make it again.
func (c *Client) once(ctx context.Context, r request, body []byte, into any) (wait time.Duration, err error) {
	request, err := c.newRequest(ctx, r, body)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		return 0, c.unanswered(ctx, r, err)
	}
	defer response.Body.Close()
	c.options.Logger.Debug("request", "method", r.method, "host", c.base.Host, "path", r.path, "status", response.StatusCode, "took", time.Since(begun).Round(time.Microsecond))
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil || len(answer) > maxAnswer {
		return 0, c.unanswered(ctx, r, errors.New("the answer ends early, or not at all"))
	}
	if response.StatusCode == http.StatusUnauthorized && c.options.Token != "" && request.Header.Get("Authorization") == "" {
		c.reads.Store(true)
		return c.once(ctx, r, body, into)
	}
	if response.StatusCode >= 300 {
		return retryAfter(response), c.refused(response.StatusCode, answer)
	}
	if response.StatusCode == http.StatusNoContent {
		return 0, nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return 0, c.notOurs(r, errNoServer)
	}
	if err := checkAnswer(into); err != nil {
		return 0, c.notOurs(r, fmt.Errorf("%w: %w", errNoServer, err))
	}
	if response.Header.Get("X-Caib-Stale") != "" {
		c.stale.Do(func() {
			c.options.Warn(fmt.Errorf("%s could not look at its catalog lately: it shows what it saw last", c.base.Host))
		})
	}
	return 0, nil
}

func (c *Client) newRequest(ctx context.Context, r request, body []byte) (*http.Request, error) {
	address := c.base.JoinPath(r.path)
	address.RawQuery = r.query.Encode()
	request, err := http.NewRequestWithContext(ctx, r.method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", entry.ErrInvalid, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.match != "" {
		request.Header.Set("If-Match", ifMatch(r.match))
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if c.options.Token != "" && (r.method != http.MethodGet || c.reads.Load()) {
		request.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	request.Header.Set("Prefer", "return=representation")
	request.Header.Set("User-Agent", c.options.UserAgent)
	return request, nil
}

// retryAfter is how long a server that has no time now asks to be left alone; 0 if
// it asks for nothing.
func retryAfter(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 if it is no number
	return time.Duration(min(seconds, maxWait)) * time.Second
}

var errNoServer = errors.New("the answer is not that of an index server")

func (c *Client) operation(r request) string {
	return r.method + " " + c.base.Host + r.path
}

// unanswered is why a request got no answer.
func (c *Client) unanswered(ctx context.Context, r request, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the URL
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = entry.ErrTimeout
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = fmt.Errorf("%w: %w", entry.ErrUnreachable, err)
	}
	return noAnswer(c.operation(r), err)
}

// notOurs is an answer that no index server gives, and why it is none.
func (c *Client) notOurs(r request, err error) error {
	failed := noAnswer(c.operation(r), fmt.Errorf("%w: %w", entry.ErrUnreachable, err))
	failed.NoServer = true
	return failed
}

// refused is what a server says about a request that it does not serve.
func (c *Client) refused(status int, answer []byte) error {
	problem := &api.Problem{}
	err := json.Unmarshal(answer, problem)
	problem.Status = status
	switch {
	case err != nil || problem.Sentence == "":
		return noAnswer(c.base.Host, fmt.Errorf("%w: status %d, and not in the words of an index server", entry.ErrUnreachable, status))
	case problem.Code == "no_route":
		failed := noAnswer(c.base.Host, fmt.Errorf("%w: %s", entry.ErrUnreachable, problem.Sentence))
		failed.NoServer, failed.Problem = true, problem
		return failed
	}
	return problemError(problem)
}
