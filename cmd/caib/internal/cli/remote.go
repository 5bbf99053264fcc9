package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
)

// maxServerAnswer bounds one answer of an index server, in bytes.
const maxServerAnswer = 64 << 20

// remote is an index server, asked as if it were a catalog.
type remote struct {
	base   *url.URL
	token  string
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
	warn   func(text string)
	stale  sync.Once // warned of an answer that may be out of date
	// verified takes nothing but what the server has verified.
	verified bool
	refuses  sync.Once // told of names that the server's policy refuses
}

// newRemote reads the settings about the server. A token is sent by HTTPS, or
// to this machine, and elsewhere only where plain HTTP is asked for.
func (a *app) newRemote() (*remote, error) {
	s := &a.settings
	invalid := func(reason string) (*remote, error) {
		return nil, s.at("server", fmt.Errorf("%w: want a URL such as https://caib.example.com: %s", entry.ErrInvalid, reason))
	}
	base, err := url.Parse(s.server)
	switch {
	case err != nil:
		return invalid("it does not parse")
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return invalid("its scheme is not http or https, or it has no host")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return invalid("it has a user, a query or a fragment")
	case s.token != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) && !s.plainHTTP:
		return invalid("a token is not sent without TLS; --plain-http would")
	case strings.ContainsFunc(s.token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, s.at("token", fmt.Errorf("%w: a token has no spaces and no special characters", entry.ErrInvalid))
	}
	transport, err := a.plainTransport()
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig.InsecureSkipVerify = s.insecure
	return &remote{base: base, token: s.token, log: a.logger(), now: a.system.Now, warn: a.warn, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Reference returns the URL of the server.
func (r *remote) Reference() string { return r.base.String() }

// serverError is what a server says went wrong: its words, and their kind.
type serverError struct {
	sentence string
	kind     error
}

func (e *serverError) Error() string { return e.sentence }
func (e *serverError) Unwrap() error { return e.kind }

// conflictOf reads from a server's sentence which entry a publication met; nil is
// none. The API has one code for all conflicts.
func conflictOf(e *serverError) *catalog.ConflictError {
	switch {
	case !errors.Is(e, entry.ErrConflict):
		return nil
	case strings.Contains(e.sentence, "exists already"):
		return &catalog.ConflictError{}
	case strings.Contains(e.sentence, "is published as"):
		return &catalog.ConflictError{Image: "another's"}
	}
	return nil
}

// kindOf finds the error kind that a code of the API stands for; it is the word
// of the exit table.
func kindOf(p server.Problem, status int) error {
	for _, row := range exits {
		if row.word == p.Code && row.kind != nil {
			return row.kind
		}
	}
	if status >= 500 || status == http.StatusTooManyRequests {
		return entry.ErrUnreachable
	}
	return errors.New("refused")
}

// saidBy is a problem that a server reported.
func saidBy(p server.Problem, status int) error { return &serverError{p.Sentence, kindOf(p, status)} }

// ask makes a request and returns the answer, or none of it with an error.
func ask[T any](ctx context.Context, r *remote, method, path string, query url.Values, body any) (T, error) {
	var answer, none T
	if err := r.call(ctx, method, path, query, body, &answer); err != nil {
		return none, err
	}
	return answer, nil
}

// call makes a request and decodes the answer. Where the server asks to wait,
// it waits, as long as ctx lets it.
func (r *remote) call(ctx context.Context, method, path string, query url.Values, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	for {
		wait, err := r.once(ctx, method, path, query, text, into)
		if wait <= 0 {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// once makes one request. A wait above 0 says when to make it again.
func (r *remote) once(ctx context.Context, method, path string, query url.Values, text []byte, into any) (wait time.Duration, err error) {
	address := r.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("%w: %v", entry.ErrInvalid, err)
	}
	if text != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" && method != http.MethodGet {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	request.Header.Set("Prefer", "return=representation")
	request.Header.Set("User-Agent", "caib/"+version().Version)
	begun := r.now()
	response, err := r.client.Do(request)
	if err != nil {
		return 0, r.unanswered(ctx, method, path, err)
	}
	defer response.Body.Close()
	r.log.Debug("request", "method", method, "host", r.base.Host, "path", path, "status", response.StatusCode, "took", r.now().Sub(begun).Round(time.Microsecond))
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxServerAnswer+1))
	if err != nil || len(answer) > maxServerAnswer {
		return 0, r.unanswered(ctx, method, path, errors.New("the answer ends early, or not at all"))
	}
	if response.StatusCode >= 300 {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable {
			wait = time.Duration(min(seconds, 60)) * time.Second
		}
		return wait, r.refused(response, answer)
	}
	if response.StatusCode == http.StatusNoContent {
		return 0, nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return 0, r.unanswered(ctx, method, path, errNoServer)
	}
	if err := checkAnswer(into); err != nil {
		return 0, r.unanswered(ctx, method, path, fmt.Errorf("%w: %w", errNoServer, err))
	}
	if response.Header.Get("X-Caib-Stale") != "" {
		r.stale.Do(func() {
			r.warn(fmt.Sprintf("%s could not look at its catalog lately: it shows what it saw last", r.base.Host))
		})
	}
	return 0, nil
}

var errNoServer = errors.New("the answer is not that of an index server")

// unanswered is why a request got no usable answer.
func (r *remote) unanswered(ctx context.Context, method, path string, err error) error {
	operation := fmt.Sprintf("%s %s%s", method, r.base.Host, path)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", operation, entry.ErrTimeout)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", operation, ctx.Err())
	}
	failure := fmt.Errorf("%s: %w: %w", operation, entry.ErrUnreachable, err)
	switch {
	case errors.Is(err, errNoServer):
		return withHint(failure, "give the address of an index server (`caib catalog serve`) with --server, without a path of the API")
	case strings.Contains(err.Error(), "certificate"):
		return withHint(failure, "give the server's certificate authority with --ca-file")
	}
	return failure
}

// refused is what a server says about a request that it does not serve.
func (r *remote) refused(response *http.Response, answer []byte) error {
	var problem server.Problem
	switch {
	case json.Unmarshal(answer, &problem) != nil || problem.Sentence == "":
		return fmt.Errorf("%s: %w: status %d, and not in the words of an index server", r.base.Host, entry.ErrUnreachable, response.StatusCode)
	case problem.Code == "no_route":
		return withHint(fmt.Errorf("%s: %w: %s", r.base.Host, entry.ErrUnreachable, problem.Sentence), "give --server the address of the server alone; or it is older than this command")
	}
	err := saidBy(problem, response.StatusCode)
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return withHint(err, "give a token of the server with --token or CAIB_TOKEN")
	case response.StatusCode == http.StatusForbidden && strings.Contains(problem.Sentence, "read-only"):
		return withHint(err, "publish to the registry itself: give --catalog, and no --server")
	case response.StatusCode == http.StatusForbidden && strings.Contains(problem.Sentence, "--allow-registry"):
		return withHint(err, "the server opens this registry if it is started with a pattern for it: `caib catalog serve --allow-registry HOST`")
	}
	return err
}
