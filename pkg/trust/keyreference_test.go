package trust

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// keyServer serves key files over TLS, and how it misbehaves.
func keyServer(t *testing.T, key []byte) *httptest.Server {
	ended := make(chan struct{})
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a redirect to http was followed")
		_, _ = w.Write(key)
	}))
	mux := http.NewServeMux()
	serve := func(path string, handler http.HandlerFunc) { mux.HandleFunc(path, handler) }
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	serve("/team.pub", text(string(key)))
	serve("/two.pub", text(string(key)+string(newTestKeyPEM(t))))
	serve("/moved", redirect("/team.pub"))
	serve("/plain", redirect(plain.URL))
	serve("/loop", redirect("/loop"))
	serve("/long", text(strings.Repeat("x", maxFetchedKeys+1)))
	serve("/page", text("\n<!DOCTYPE html><html>"+string(key)))
	serve("/empty", text(""))
	serve("/forbidden", status(http.StatusForbidden))
	serve("/broken", status(http.StatusBadGateway))
	serve("/throttled", status(http.StatusTooManyRequests))
	serve("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(key)
	})
	serve("/silent", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(func() {
		close(ended)
		server.Close()
		plain.Close()
	})
	return server
}

func newTestKeyPEM(t *testing.T) []byte {
	text, _ := publicPEM(t, "")
	return text
}

func TestFetchedKeys(t *testing.T) {
	key, shown := publicPEM(t, "team.pub")
	server := keyServer(t, key)
	loader := &keyLoader{transport: server.Client().Transport}
	host := strings.TrimPrefix(server.URL, "https://")
	for path, want := range map[string]struct {
		kind error
		text string
		keys int
	}{
		"/team.pub":   {keys: 1},
		"/two.pub":    {keys: 2},
		"/moved":      {keys: 1},
		"/plain":      {kind: entry.ErrInvalid, text: "redirects elsewhere than to https"},
		"/loop":       {kind: entry.ErrInvalid, text: "too often"},
		"/long":       {kind: entry.ErrInvalid, text: "longer than 65536 bytes"},
		"/page":       {kind: entry.ErrInvalid, text: "a web page is there, and no key"},
		"/empty":      {kind: entry.ErrInvalid, text: "no PEM block in it"},
		"/missing":    {kind: entry.ErrInvalid, text: "its server answers 404 Not Found"},
		"/forbidden":  {kind: entry.ErrInvalid, text: "403 Forbidden"},
		"/broken":     {kind: entry.ErrUnreachable, text: "502 Bad Gateway"},
		"/throttled":  {kind: entry.ErrUnreachable, text: "429 Too Many Requests"},
		"/cut":        {kind: entry.ErrUnreachable, text: "unexpected EOF"},
		"/a?token=S3": {kind: entry.ErrInvalid, text: "key " + server.URL + "/a: "},
	} {
		t.Run(path, func(t *testing.T) {
			keys, err := loader.publicKeys(t.Context(), "https://user:S3cret@"+host+path)
			if want.kind == nil {
				if err != nil || len(keys) != want.keys {
					t.Fatalf("%d keys, error %v; want %d", len(keys), err, want.keys)
				}
				if path == "/team.pub" && keys[0].String() != shown {
					t.Errorf("the key is called %s, want %s", keys[0], shown)
				}
				return
			}
			if keys != nil || !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) || strings.Contains(err.Error(), "S3") {
				t.Errorf("%d keys, error %v; want %v with %q, and no secret", len(keys), err, want.kind, want.text)
			}
		})
	}
}

// Where a server redirects to does not learn what is secret in the address.
func TestFetchRedirected(t *testing.T) {
	key, _ := publicPEM(t, "")
	var sent http.Header
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		_, _ = w.Write(key)
	}))
	defer elsewhere.Close()
	server := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer server.Close()
	address := strings.Replace(server.URL, "https://", "https://user:S3cret@", 1) + "/k?token=S3cret"
	_, err := (&keyLoader{transport: server.Client().Transport}).publicKeys(t.Context(), address)
	if err != nil || sent.Get("Referer") != "" || sent.Get("Authorization") != "" {
		t.Errorf("error %v; sent %v, want neither address nor password", err, sent)
	}
}

func TestFetchEnds(t *testing.T) {
	server := keyServer(t, nil)
	loader := &keyLoader{transport: server.Client().Transport}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond))
	defer cancel()
	if _, err := loader.publicKeys(late, server.URL+"/silent"); !errors.Is(err, entry.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("a server that says nothing: %v, want a time-out", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := loader.publicKeys(stopped, server.URL+"/silent"); !errors.Is(err, context.Canceled) || errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("an interruption: %v", err)
	}
	_, err := (&keyLoader{transport: http.DefaultTransport}).publicKeys(t.Context(), server.URL+"/team.pub?token=S3cret")
	if !errors.Is(err, entry.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "S3cret") {
		t.Errorf("a certificate that nobody vouches for: %v; want that, and no secret", err)
	}
}

// newTestLoader reads a file and some variables.
func newTestLoader(public, private string) *keyLoader {
	return &keyLoader{
		readFile: func(path string) ([]byte, error) {
			if path != "keys/team.pub" {
				return nil, os.ErrNotExist
			}
			return []byte(public), nil
		},
		lookupEnv: func(name string) (string, bool) {
			value, set := map[string]string{"PUBLIC": public, "PRIVATE": private, "EMPTY": "", "TEXT": "S3cret"}[name]
			return value, set
		},
		lookPath:  func(string) (string, error) { return "", os.ErrNotExist },
		transport: http.DefaultTransport,
	}
}

// keyReference is read by a loader.
type keyReference struct {
	name      string
	loader    *keyLoader
	reference string
	want      string // part of the error; "" works
}

func checkReferences(t *testing.T, load func(*keyLoader, string) error, tests []keyReference) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := load(test.loader, test.reference)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "S3cret") || strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestPublicKeyReferences(t *testing.T) {
	pem, _ := publicPEM(t, "")
	public := string(pem)
	loader := newTestLoader(public, string(privatePEM(t, newKey(t))))
	checkReferences(t, func(l *keyLoader, reference string) error {
		_, err := l.publicKeys(t.Context(), reference)
		return err
	}, []keyReference{
		{"file", loader, "keys/team.pub", ""},
		{"no file", loader, "other.pub", "file does not exist"},
		{"variable", loader, "env://PUBLIC", ""},
		{"variable, unset", loader, "env://UNSET", "env://UNSET: the environment variable is not set"},
		{"variable, empty", loader, "env://EMPTY", "env://EMPTY: the environment variable is empty"},
		{"variable, no key", loader, "env://TEXT", "public key env://TEXT: no PEM block in it"},
		{"variable, not a name", loader, "env://S3cret S3cret", "want env:// and the name"},
		{"plain http", loader, "http://u:S3cret@example.com/k", "key http://example.com/k: want https"},
		{"no host", loader, "https:///k", "want https://HOST/PATH"},
		{"bad address", loader, "https://S3cret\x00/", "want https://HOST/PATH"},
		{"mistyped scheme", loader, "htps://u:S3cret@example.com/k?S3cret", "sigstore-kms-htps"},
		{"no scheme of a plugin", loader, "a b://u:S3cret@example.com/k", "want NAME://KEY"},
		{"plain HTTP", loader, "HTTP://u:S3cret@example.com/k", "key http://example.com/k: want https"},
		{"nothing is given, HTTPS", &keyLoader{}, "HTTPS://u:S3cret@example.com/k", "not read here"},
		{"no plugin", loader, "none://key", "there is no program sigstore-kms-none in the PATH"},
		{"no name of a plugin", loader, "A b://key", "want NAME://KEY"},
		{"nothing is given, file", &keyLoader{}, "keys/team.pub", "not read here"},
		{"nothing is given, env", &keyLoader{}, "env://PUBLIC", "not read here"},
		{"nothing is given, https", &keyLoader{}, "https://example.com/k", "not read here"},
		{"nothing is given, plugin", &keyLoader{}, "none://key", "not read here"},
		{"public, the key itself", loader, public, "not the key itself"},
		{"a private key, public use", loader, "env://PRIVATE", "is not a public key"},
	})
}

func TestPrivateKeyReferences(t *testing.T) {
	public, _ := publicPEM(t, "")
	private := string(privatePEM(t, newKey(t)))
	loader := newTestLoader(string(public), private)
	checkReferences(t, func(l *keyLoader, reference string) error {
		_, err := l.signer(t.Context(), reference, noPassword)
		return err
	}, []keyReference{
		{"signer in a variable", loader, "env://PRIVATE", ""},
		{"public key", loader, "env://PUBLIC", `env://PUBLIC: invalid: private key: a PEM block of type "PUBLIC KEY"`},
		{"web server", loader, "https://example.com/k", "is not fetched from a web server"},
		{"plain http", loader, "http://example.com/k", "want https"},
		{"no plugin", loader, "none://key", "there is no program"},
		{"the key itself", loader, private, "not the key itself"},
		{"unset", loader, "env://UNSET", "is not set"},
		{"nothing is given", &keyLoader{}, "env://PRIVATE", "not read here"},
	})
}
