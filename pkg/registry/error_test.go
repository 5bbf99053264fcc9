package registry

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// An error tells those who help people what a registry answered, and to whom.
func TestAnswerErrors(t *testing.T) {
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 7}
	tags := func(t *testing.T, r Repository) error { _, err := r.Tags(t.Context()); return err }
	manifest := func(t *testing.T, r Repository) error { _, _, err := r.Manifest(t.Context(), "1"); return err }
	push := func(t *testing.T, r Repository) error {
		return r.PushBlob(t.Context(), describe("text/plain", []byte("x")), []byte("x"))
	}
	referrers := func(t *testing.T, r Repository) error { _, err := r.Referrers(t.Context(), subject); return err }
	for _, tt := range []struct {
		name         string
		ask          func(*testing.T, Repository) error
		status       int
		kind, body   string
		want         error
		cause        Cause
		words        string
		hides, lacks bool
	}{
		{"a refusal", tags, 403, "", `{"errors":[{"code":"DENIED","message":"no pull for you"}]}`, entry.ErrUnauthorized, CauseRefused, "denied: no pull for you", true, false},
		{"a 404 that denies", manifest, 404, "", `{"errors":[{"code":"DENIED"}]}`, entry.ErrUnauthorized, CauseRefused, "denied", true, false},
		{"a login that is wanted", tags, 401, "", ``, entry.ErrUnauthorized, CauseRefused, "", true, false},
		{"a page", tags, 404, "text/html", `<html>no</html>`, entry.ErrUnreachable, CauseHidden, "", false, false},
		{"plain words", tags, 404, "text/plain", "Not here.", entry.ErrUnreachable, CauseHidden, "Not here.", false, false},
		{"a wrong path", push, 404, "text/plain", "Not here.", entry.ErrNotFound, CausePath, "Not here.", false, false},
		{"a cache", push, 405, "", "", entry.ErrUnauthorized, CauseReadOnly, "", false, true},
		{"a registry under repair", push, 503, "", `{"errors":[{"code":"READ_ONLY_MODE"}]}`, entry.ErrUnauthorized, CauseReadOnly, "read only mode", false, false},
		{"no referrers", referrers, 400, "", "", entry.ErrUnreachable, "", "", false, true},
		{"no referrers either", referrers, 501, "", "", entry.ErrUnreachable, "", "", false, true},
		{"a page for referrers", referrers, 400, "text/html", "<html>", entry.ErrUnreachable, "", "", false, false},
		{"referrers that are refused", referrers, 405, "", `{"errors":[{"code":"DENIED"}]}`, entry.ErrUnauthorized, CauseRefused, "denied", true, false},
		{"a proxy", tags, 407, "", "", entry.ErrUnauthorized, CauseProxy, "", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.kind != "" {
					w.Header().Set("Content-Type", tt.kind)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			t.Cleanup(server.Close)
			host := strings.TrimPrefix(server.URL, "http://")
			repository := open(t, host, Options{Attempts: 1})
			err := tt.ask(t, repository)
			var got *Error
			if !errors.Is(err, tt.want) || !errors.As(err, &got) {
				t.Fatalf("%T %v, want an Error that is %v", err, err, tt.want)
			}
			if got.Cause != tt.cause || got.Words != tt.words || got.Status != tt.status || got.Account != "anonymous" || got.Repository != host+"/team/image" || got.Host != host {
				t.Errorf("got %+v, want cause %q and words %q", got, tt.cause, tt.words)
			}
			if hides, lacks := errors.Is(err, absence.ErrHidden), errors.Is(err, absence.ErrNoReferrersAPI); hides != tt.hides || lacks != tt.lacks {
				t.Errorf("hides absence: %t, lacks referrers: %t; want %t, %t", hides, lacks, tt.hides, tt.lacks)
			}
		})
	}
}

// A registry that speaks plain HTTP, and one whose certificate nobody trusts.
func TestErrorsOfTransports(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = quietLog()
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for address, want := range map[string]Cause{plain.Listener.Addr().String(): CausePlainHTTP, secure.Listener.Addr().String(): CauseCertificate} {
		_, err := open(t, address, Options{Attempts: 1, PlainHTTP: never}).Tags(t.Context())
		var got *Error
		if !errors.As(err, &got) || got.Cause != want || !errors.Is(err, entry.ErrUnreachable) {
			t.Errorf("%v is %+v, want cause %q", err, got, want)
		}
	}
}

// What a layout calls its images is told beside the message.
func TestAmbiguousNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	writer := newLayout(dir)
	for _, name := range []string{"v1", "v2"} {
		d, manifest := manifestOf(t, name, nil)
		if err := writer.PushManifest(t.Context(), d, manifest, name); err != nil {
			t.Fatal(err)
		}
	}
	_, err := newLayout(dir).Resolve(t.Context(), onlyImage)
	var got *Error
	if !errors.As(err, &got) || strings.Join(got.Names, " ") != "v1 v2" || got.Layout != dir {
		t.Errorf("got %v with %+v, want the names v1 and v2", err, got)
	}
}
