package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testwait"
)

// Every operation that runs out of time says so in the words of the context, and
// blames neither a certificate nor a login, whatever the repository is called.
func TestTimeout(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the client is gone
		<-r.Context().Done()
	}
	client, err := New(quick())
	if err != nil {
		t.Fatal(err)
	}
	host := serve(t, silent).host
	blob := describe("text/plain", []byte("x"))
	manifest, text := manifestOf(t, "m", nil)
	for operation, ask := range map[string]func(context.Context, Repository) error{
		"tags":          func(ctx context.Context, r Repository) error { _, err := r.Tags(ctx); return err },
		"resolve":       func(ctx context.Context, r Repository) error { _, err := r.Resolve(ctx, "t"); return err },
		"manifest":      func(ctx context.Context, r Repository) error { _, _, err := r.Manifest(ctx, "t"); return err },
		"blob":          func(ctx context.Context, r Repository) error { _, err := r.Blob(ctx, blob); return err },
		"stat":          func(ctx context.Context, r Repository) error { return r.StatBlob(ctx, blob) },
		"push":          func(ctx context.Context, r Repository) error { return r.PushBlob(ctx, blob, []byte("x")) },
		"push manifest": func(ctx context.Context, r Repository) error { return r.PushManifest(ctx, manifest, text, "t") },
		"delete":        func(ctx context.Context, r Repository) error { return r.Delete(ctx, "t") },
		"referrers": func(ctx context.Context, r Repository) error {
			_, err := r.Referrers(ctx, ocispec.DescriptorEmptyJSON)
			return err
		},
		"attach": func(ctx context.Context, r Repository) error {
			return r.PushReferrer(ctx, manifest, text, ocispec.DescriptorEmptyJSON)
		},
	} {
		testwait.Return(t, "the deadline to end "+operation, func() {
			late, stop := context.WithTimeout(t.Context(), 5*time.Millisecond)
			defer stop()
			err := ask(late, openPath(t, client, host, "os/certificate-service"))
			var blamed *Error
			if kind(err) != "timed out" || !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &blamed) && blamed.Cause != "" {
				t.Errorf("%s: got %v (%+v), want a time-out without a cause", operation, err, blamed)
			}
		})
	}
}

// A connection that takes too long is unreachable, and a time-out all the same.
func TestConnectionTimeout(t *testing.T) {
	options := quick()
	options.Transport = transportFunc(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: late{}}
	})
	_, err := open(t, "registry.example.com", options).Tags(t.Context())
	if kind(err) != "unreachable" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want unreachable for a time-out", err)
	}
}

// late is an error of a socket whose time is up.
type late struct{}

func (late) Error() string   { return "i/o timeout" }
func (late) Timeout() bool   { return true }
func (late) Temporary() bool { return true }

func TestInterruption(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	testwait.Return(t, "an interrupt to end a request", func() {
		if _, err := open(t, s.host, quick()).Tags(interrupted); kind(err) != "?" || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
	})
}
