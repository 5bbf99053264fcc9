package registry

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = quietLog()
	host := strings.TrimPrefix(server.URL, "https://")
	ca := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o600)
	for _, tt := range []struct {
		name    string
		options Options
		want    string
	}{
		{"an authority that the system does not know", Options{PlainHTTP: never}, "unreachable"},
		{"a private authority", Options{PlainHTTP: never, CAFile: ca}, ""},
		{"no check", Options{PlainHTTP: never, InsecureTLS: true}, ""},
		{"plain HTTP, which loopback hosts have", Options{}, "unreachable"},
		{"plain HTTP on demand", Options{PlainHTTP: always, CAFile: ca}, "unreachable"},
	} {
		tt.options.Attempts = 1
		_, err := open(t, host, tt.options).Tags(t.Context())
		if kind(err) != tt.want {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestCAFile(t *testing.T) {
	for _, path := range []string{
		filepath.Join(t.TempDir(), "missing.pem"),
		writeFile(t, filepath.Join(t.TempDir(), "empty.pem"), "", 0o600),
		writeFile(t, filepath.Join(t.TempDir(), "text.pem"), "no certificate", 0o600),
	} {
		if _, err := New(Options{CAFile: path}); kind(err) != "invalid" || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestUserAgent(t *testing.T) {
	for given, want := range map[string]string{"": "caib", "caib/1.2": "caib/1.2"} {
		var got []string
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header["User-Agent"]
			answer(w, 200, "application/json", `{"tags":[]}`)
		})
		if _, err := open(t, s.host, Options{UserAgent: given}).Tags(t.Context()); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%q: %v, %v; want %s", given, got, err, want)
		}
	}
}

func TestProxy(t *testing.T) {
	var wanted string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		wanted = r.Host
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	})
	options := Options{PlainHTTP: always, Attempts: 1, Proxy: func(*http.Request) (*url.URL, error) {
		return &url.URL{Scheme: "http", Host: proxy.host}, nil
	}}
	tags, err := open(t, "registry.example.com", options).Tags(t.Context())
	if err != nil || len(tags) != 1 || wanted != "registry.example.com" {
		t.Errorf("%v, %v by way of a proxy asked for %q", tags, err, wanted)
	}
}

// A registry's own word decides nothing about where credentials go.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	var leaked []string
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		leaked = append(leaked, r.Header.Get("Authorization"))
		answer(w, 200, "application/octet-stream", "blob")
	})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
			return
		}
		http.Redirect(w, r, "http://"+other.host+"/blob", http.StatusTemporaryRedirect)
	})
	options := quick()
	options.Credentials = userAndPassword("me", "s3cr3t")
	blob, err := open(t, s.host, options).Blob(t.Context(), describe("application/x", []byte("blob")))
	if err != nil || string(blob) != "blob" || len(leaked) != 1 || leaked[0] != "" {
		t.Errorf("%q, %v; the other host got %q", blob, err, leaked)
	}
}
