package trust

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Each environment that pipelines run in has its token, and none has an error.
func TestAmbientToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("audience") != "sigstore" || r.URL.Query().Get("api-version") != "2":
			http.Error(w, "wrong question", http.StatusBadRequest)
		case r.URL.Path == "/empty":
			fmt.Fprint(w, "{}")
		case r.URL.Path == "/html":
			fmt.Fprint(w, "<html>")
		case r.Header.Get("Authorization") != "Bearer secret":
			http.Error(w, "no", http.StatusForbidden)
		default:
			fmt.Fprint(w, `{"value":"a.b.c"}`)
		}
	}))
	defer server.Close()
	github := func(path, secret string) map[string]string {
		return map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + path + "?api-version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret}
	}
	for _, test := range []struct {
		name string
		env  map[string]string
		file string
		want string
		kind error
	}{
		{name: "none"},
		{name: "GitLab", env: map[string]string{"SIGSTORE_ID_TOKEN": " x.y.z\n"}, want: "x.y.z"},
		{name: "GitHub", env: github("/", "secret"), want: "a.b.c"},
		{name: "GitHub refuses", env: github("/", "wrong"), kind: entry.ErrUnauthorized},
		{name: "GitHub has none", env: github("/empty", "secret"), kind: entry.ErrUnreachable},
		{name: "GitHub answers HTML", env: github("/html", "secret"), kind: entry.ErrUnreachable},
		{name: "GitHub at no address", env: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": ":"}, kind: entry.ErrInvalid},
		{name: "Kubernetes", file: "k.l.m\n", want: "k.l.m"},
	} {
		read := func(string) ([]byte, error) {
			if test.file == "" {
				return nil, os.ErrNotExist
			}
			return []byte(test.file), nil
		}
		token, err := ambientToken(t.Context(), func(name string) string { return test.env[name] }, read, http.DefaultTransport)
		if token != test.want || !errors.Is(err, test.kind) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %q, %v", test.name, token, err)
		}
	}
}

// A person proves who they are elsewhere, while the command asks again.
func TestDeviceToken(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		want         string
		kind         error
	}{
		{"granted", `{"access_token":"x","token_type":"bearer","id_token":"a.b.c"}`, "a.b.c", nil},
		{"refused", `{"error":"access_denied"}`, "", entry.ErrUnauthorized},
		{"no identity", `{"access_token":"x","token_type":"bearer"}`, "", entry.ErrUnreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // the least that the client waits between questions is a second
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			asJSON := func(status int, format string, args ...any) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(status)
					fmt.Fprintf(w, format, args...)
				}
			}
			mux.HandleFunc("/.well-known/openid-configuration", asJSON(200, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"device_authorization_endpoint":%q,"jwks_uri":%q}`,
				server.URL, server.URL+"/auth", server.URL+"/token", server.URL+"/device", server.URL+"/keys"))
			mux.HandleFunc("/device", func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("client_id") != "sigstore" || r.FormValue("code_challenge_method") != "S256" {
					t.Errorf("asked with %v", r.Form)
				}
				asJSON(200, `{"device_code":"d","user_code":"ABCD","verification_uri":%q,"interval":1,"expires_in":60}`, server.URL+"/open")(w, r)
			})
			status := 200
			if test.name == "refused" {
				status = 400
			}
			mux.HandleFunc("/token", asJSON(status, "%s", test.answer))
			shown := ""
			token, err := deviceToken(t.Context(), &services{issuer: server.URL, transport: http.DefaultTransport}, func(address, code string) { shown = address + " " + code })
			if token != test.want || !errors.Is(err, test.kind) || shown != server.URL+"/open ABCD" {
				t.Errorf("%q, %v; shown %s", token, err, shown)
			}
		})
	}
	if _, err := deviceToken(t.Context(), &services{}, nil); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("without a provider: %v", err)
	}
	l := newLab(t) // whose services are no identity provider
	if _, err := deviceToken(t.Context(), l.services(1, false), nil); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("no provider there: %v", err)
	}
}
