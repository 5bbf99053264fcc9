package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/client"
	"github.com/oci-catalog/caib/pkg/entry"
)

// answering returns a client of a server that answers everything alike.
func answering(t *testing.T, status int, answer string) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return newClient(t, server.URL, client.Options{})
}

func newClient(t *testing.T, base string, options client.Options) *client.Client {
	t.Helper()
	c, err := client.New(base, options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A server's problem has its kind, and what it says of a conflict is data. A server
// that says no more than the sentence is believed no more than that.
func TestProblems(t *testing.T) {
	const ours = `{"error":"conflict: r/os/a:1 is published as \"a\" already","code":"conflict"`
	for name, tt := range map[string]struct {
		status   int
		answer   string
		kind     error
		conflict *catalog.ConflictError
	}{
		"the name is taken":    {409, `{"error":"x","code":"conflict","name":"a"}`, entry.ErrConflict, &catalog.ConflictError{Name: "a"}},
		"the image has a name": {409, ours + `,"name":"a","image":"r/os/a:1"}`, entry.ErrConflict, &catalog.ConflictError{Name: "a", Image: "r/os/a:1"}},
		"another revision":     {412, `{"error":"x","code":"conflict","name":"a","revision":"sha256:1"}`, entry.ErrConflict, &catalog.ConflictError{Name: "a", Revision: "sha256:1"}},
		"an older server":      {409, ours + `}`, entry.ErrConflict, nil},
		"not found":            {404, `{"error":"x","code":"not_found","name":"a"}`, entry.ErrNotFound, nil},
		"its time ran out":     {504, `{"error":"x","code":"timeout"}`, context.DeadlineExceeded, nil},
		"throttled":            {429, `{"error":"x","code":"throttled"}`, entry.ErrUnreachable, nil},
		"a code of later":      {500, `{"error":"x","code":"later"}`, entry.ErrUnreachable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answering(t, tt.status, tt.answer).Add(t.Context(), "a", "r/os/a:1", catalog.PublishOptions{})
			var failed *client.Error
			if !errors.Is(err, tt.kind) || !errors.As(err, &failed) || failed.Problem == nil || failed.Problem.Status != tt.status {
				t.Fatalf("got %v (%#v), want a problem of kind %v and status %d", err, failed, tt.kind, tt.status)
			}
			if got, want := err.Error(), failed.Problem.Sentence; got != want {
				t.Errorf("the error says %q, want %q, and nothing besides", got, want)
			}
			conflict, _ := errors.AsType[*catalog.ConflictError](err)
			if diff := cmp.Diff(tt.conflict, conflict, cmpopts.IgnoreFields(catalog.ConflictError{}, "Message")); diff != "" {
				t.Errorf("conflict (-want +got):\n%s", diff)
			}
		})
	}
}

// What gets no answer of an index server says so, and why.
func TestUnanswered(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, tt := range map[string]struct {
		client                *client.Client
		noServer, certificate bool
	}{
		"a strange certificate":          {newClient(t, secure.URL, client.Options{}), false, true},
		"nobody listens":                 {newClient(t, closed.URL, client.Options{}), false, false},
		"another program's answer":       {answering(t, 200, `{"foo":1}`), true, false},
		"another program's failure":      {answering(t, 502, `<html>certificate`), false, false},
		"a server without this route":    {answering(t, 404, `{"error":"x","code":"no_route"}`), true, false},
		"no JSON, and no index server's": {answering(t, 200, `<html>`), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.client.Get(t.Context(), "certificate-service", catalog.GetOptions{})
			var unanswered *client.Error
			var certificate *tls.CertificateVerificationError
			if !errors.As(err, &unanswered) || !errors.Is(err, entry.ErrUnreachable) || unanswered.NoServer != tt.noServer || errors.As(err, &certificate) != tt.certificate {
				t.Errorf("got %v (%#v), want no server %t, certificate %t", err, unanswered, tt.noServer, tt.certificate)
			}
		})
	}
}

// A request whose time runs out is that, whatever its path is called.
func TestTimeout(t *testing.T) {
	asked, over := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-over }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	go func() { <-asked }()
	_, err := newClient(t, server.URL, client.Options{}).Get(ctx, "certificate-service", catalog.GetOptions{})
	if !errors.Is(err, entry.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("got %v, want a time-out", err)
	}
}

// A token goes where nobody reads it, and only with what needs one.
func TestToken(t *testing.T) {
	for _, base := range []string{"", "ftp://x", "http://", "http://u:p@x", "http://x?a", "http://x#a", "http://caib.example.com"} {
		if _, err := client.New(base, client.Options{Token: "secret"}); !errors.Is(err, entry.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got error %v, want an entry.ErrInvalid", base, err)
		}
	}
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Method+" "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"x","code":"not_found"}`)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL, client.Options{Token: "secret"})
	_, _ = c.Get(t.Context(), "a", catalog.GetOptions{})
	_, _ = c.Remove(t.Context(), "a", catalog.RemoveOptions{})
	if diff := cmp.Diff([]string{"GET ", "DELETE Bearer secret"}, sent); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// Where reading needs a token, it is sent once that is known, and no other time.
func TestReadToken(t *testing.T) {
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"x","code":"unauthorized"}`)
			return
		}
		_, _ = io.WriteString(w, `{"items":[],"total":0}`)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL, client.Options{Token: "secret"})
	for range 2 {
		if _, err := c.List(t.Context(), catalog.ListOptions{}); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"", "Bearer secret", "Bearer secret"}, sent); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, err := newClient(t, server.URL, client.Options{Token: "another"}).List(t.Context(), catalog.ListOptions{}); !errors.Is(err, entry.ErrUnauthorized) || len(sent) != 5 {
		t.Errorf("a token that is none of the server's: %v, after %d requests", err, len(sent)-3)
	}
}

// That answers may be out of date is said once.
func TestStale(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Caib-Stale", "true")
		_, _ = io.WriteString(w, `{"items":[],"total":0,"refused":2}`)
	}))
	t.Cleanup(server.Close)
	warnings := 0
	c := newClient(t, server.URL, client.Options{Warn: func(error) { warnings++ }})
	for range 2 {
		page, err := c.List(t.Context(), catalog.ListOptions{})
		if err != nil || len(page.Refused) != 1 {
			t.Fatalf("got %+v, error %v, want what is refused", page, err)
		}
		refused, ok := errors.AsType[*client.RefusedError](page.Refused[0].Err)
		if !ok || refused.Names != 2 || !errors.Is(refused, entry.ErrUntrusted) {
			t.Errorf("got error %v, want two refused names", page.Refused[0].Err)
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want 1", warnings)
	}
}
