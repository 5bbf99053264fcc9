package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/pause"
)

// slowBy answers after some time, unless nobody waits for it any longer.
func slowBy(wait time.Duration, asked *int) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		*asked++
		if err := pause.For(r.Context(), wait); err != nil {
			return nil, err
		}
		return respond(r, 200, strings.NewReader(`{"tags":["a"]}`)), nil
	})
}

// How long a registry may take for its first byte is the deadline's to say: one
// that is asked again begins again.
func TestSlowAnswers(t *testing.T) {
	for _, tt := range []struct {
		name           string
		takes, timeout time.Duration
		want           string
		asked          int
	}{
		{"half a minute of four", 34 * time.Second, 4 * time.Minute, "", 1},
		{"nearly all of the time there is", 20 * time.Minute, 21 * time.Minute, "", 1},
		{"more than there is", 5 * time.Minute, 4 * time.Minute, "timed out", 1},
		{"a minute, and no deadline", time.Minute, 0, "", 1},
		{"for ever, and no deadline", time.Hour, 0, "unreachable", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, asked := t.Context(), 0
				if tt.timeout > 0 {
					bounded, cancel := context.WithTimeout(ctx, tt.timeout)
					defer cancel()
					ctx = bounded
				}
				options := quick()
				options.Transport = slowBy(tt.takes, &asked)
				_, err := open(t, "registry.example.com", options).Tags(ctx)
				if kind(err) != tt.want || asked != tt.asked {
					t.Errorf("%v, asked %d times; want %q after %d", err, asked, tt.want, tt.asked)
				}
			})
		})
	}
}

// Nothing in the network's own transport ends the wait for an answer.
func TestNetworkWaitsForAnswers(t *testing.T) {
	network, err := newNetwork(Options{}, &secrets{})
	if err != nil {
		t.Fatal(err)
	}
	if base := network.base; base.ResponseHeaderTimeout != 0 || base.TLSHandshakeTimeout != 0 {
		t.Errorf("the answer may take %s, the handshake %s; want no bound but the deadline", base.ResponseHeaderTimeout, base.TLSHandshakeTimeout)
	}
}

// What is sent for longer than an answer may take is not cut off, as long as the
// registry takes it, or waits for it itself.
func TestSlowUploads(t *testing.T) {
	for _, tt := range []struct {
		name         string
		sends, takes time.Duration // that each of eight pieces needs
		want         string
	}{
		{"sent slowly", 20 * time.Minute, 0, ""},
		{"taken slowly", 0, 4 * time.Minute, ""},
		{"not taken", 0, 6 * time.Minute, "no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				through := &patience{roundTripper(func(r *http.Request) (*http.Response, error) {
					for piece := make([]byte, 1); ; {
						if _, err := r.Body.Read(piece); errors.Is(err, io.EOF) {
							return respond(r, 201, strings.NewReader("")), nil
						}
						if err := pause.For(r.Context(), tt.takes); err != nil {
							return nil, err
						}
					}
				})}
				body := &slowReader{strings.NewReader("12345678"), tt.sends}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://registry.example.com/", body)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := through.RoundTrip(request); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			})
		})
	}
}

type slowReader struct {
	io.Reader
	wait time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	time.Sleep(r.wait)
	return r.Reader.Read(p)
}
