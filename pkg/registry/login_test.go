package registry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// heard is every Authorization that a server was sent, by path.
type heard struct {
	mu   sync.Mutex
	said map[string][]string
}

func (h *heard) note(r *http.Request) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said == nil {
		h.said = map[string][]string{}
	}
	said := r.Header.Get("Authorization")
	h.said[r.URL.Path] = append(h.said[r.URL.Path], said)
	return said
}

// all returns what was said that is not nothing.
func (h *heard) all() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, said := range h.said {
		for _, text := range said {
			if text != "" {
				all = append(all, path+": "+text)
			}
		}
	}
	return all
}

func openPath(t *testing.T, client *Client, host, path string) Repository {
	t.Helper()
	repository, err := client.Open(Reference{Registry: host, Repository: path})
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

// The account of host/a goes to host/a, and none of its tokens to host/b, in
// whatever order they are asked.
func TestAccountsStayOnTheirPath(t *testing.T) {
	for _, scheme := range []string{"Basic", "Bearer"} {
		var h, tokens heard
		var s *script
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				tokens.note(r)
				user, _, _ := r.BasicAuth()
				answer(w, 200, "application/json", `{"token":"`+user+"-for-"+r.URL.Query().Get("scope")+`"}`)
				return
			}
			if h.note(r) == "" {
				w.Header().Set("WWW-Authenticate", scheme+` realm="http://`+s.host+`/token",service="s"`)
				answer(w, 401, "application/json", `{}`)
				return
			}
			answer(w, 200, "application/json", `{"tags":["a"]}`)
		})
		path := writeFile(t, filepath.Join(t.TempDir(), "auth.json"), `{"auths":{
			"`+s.host+`/a":{"username":"alice","password":"a-s3cr3t"}, "`+s.host+`/b":{"username":"bob","password":"b-s3cr3t"}}}`, 0o600)
		find, err := openAuthFile(path, true)
		if err != nil {
			t.Fatal(err)
		}
		options := quick()
		options.Credentials = find
		client, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"a/image", "b/image", "c/image", "a/other", "b/image", "a/image"} {
			_, err := openPath(t, client, s.host, path).Tags(t.Context())
			if want := map[bool]string{true: "unauthorized"}[path == "c/image" && scheme == "Basic"]; kind(err) != want {
				t.Errorf("%s: %s: %v", scheme, path, err)
			}
		}
		for path, said := range h.said {
			user := map[string]string{"a": "alice", "b": "bob"}[path[len("/v2/"):len("/v2/")+1]]
			allowed := []string{"", "Basic " + basic(user, path[4:5]+"-s3cr3t"), "Bearer " + user + "-for-repository:" + path[4:11] + ":pull"}
			if strings.HasSuffix(path, "other/tags/list") {
				allowed[2] = "Bearer alice-for-repository:a/other:pull"
			}
			for _, text := range said {
				if !slices.Contains(allowed, text) {
					t.Errorf("%s: %s was sent %q", scheme, path, text)
				}
			}
			if challenges := strings.Count(strings.Join(said, "|")+"|", "|"); path == "/v2/a/image/tags/list" && challenges != 3 {
				t.Errorf("%s: %s was asked %q: want one challenge, and the login kept", scheme, path, said)
			}
		}
		if scheme == "Bearer" && len(tokens.said["/token"]) != 4 {
			t.Errorf("tokens were asked for by %q, want one for each repository", tokens.said["/token"])
		}
	}
}

// oras-go asks for the credentials of another host in no case that is known;
// it would get none.
func TestCredentialsAreForTheRegistryOnly(t *testing.T) {
	find := func(ctx context.Context) (Account, error) { return userAndPassword("me", "x")(ctx, "", "") }
	l := newLogin("r.example.com", "team/image", find, nil, "caib", &secrets{})
	for host, want := range map[string]string{"r.example.com": "me", "r.example.com:443": "", "s.example.com": ""} {
		if got, err := l.credential(t.Context(), host); err != nil || got.Username != want {
			t.Errorf("%s: %q, %v", host, got.Username, err)
		}
	}
}

// other is a server that wants every login it can get.
func other(t *testing.T, h *heard, secure bool) string {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.note(r) == "" {
			w.Header().Add("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
			return
		}
		answer(w, 200, "application/json", `{"tags":["stolen"],"token":"stolen"}`)
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = quietLog()
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL
}

// A redirect takes no login along: to another host, another port, or to plain
// HTTP; for reading and for writing; of the registry and of its token service.
func TestRedirectsTakeNoLoginAlong(t *testing.T) {
	for _, scheme := range []string{"Basic", "Bearer"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, account := range []Account{{Username: "me", Password: thePassword}, {IdentityToken: theIdentity}} {
				var h heard
				elsewhere := other(t, &h, false)
				var s *script
				s = serve(t, func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.URL.Path == "/token" && r.URL.Query().Get("moved") == "":
						answer(w, 200, "application/json", `{"token":"`+theToken+`","access_token":"`+theToken+`"}`)
					case r.Header.Get("Authorization") == "":
						w.Header().Set("WWW-Authenticate", scheme+` realm="http://`+s.host+`/token",service="s"`)
						answer(w, 401, "application/json", `{}`)
					default:
						http.Redirect(w, r, elsewhere+r.URL.Path, status)
					}
				})
				options := Options{Attempts: 1, Credentials: func(context.Context, string, string) (Account, error) { return account, nil }}
				for operation, err := range everything(t, open(t, s.host, options)) {
					if err == nil {
						t.Errorf("%s %d: %s worked", scheme, status, operation)
					}
				}
				if said := h.all(); len(said) > 0 {
					t.Errorf("%s %d: another host was sent %q", scheme, status, said)
				}
			}
		}
	}
}

func TestTokenServicesThatRedirect(t *testing.T) {
	for _, status := range []int{302, 307, 308} {
		for _, account := range []Account{{Username: "me", Password: thePassword}, {IdentityToken: theIdentity}} {
			var bodies []string
			var h heard
			elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
				h.note(r)
				bodies = append(bodies, sent(r))
				answer(w, 200, "application/json", `{"token":"x","access_token":"x"}`)
			})
			s := tokens(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://"+elsewhere.host+"/token", status)
			})
			options := Options{Attempts: 1, Credentials: func(context.Context, string, string) (Account, error) { return account, nil }}
			_, err := open(t, s.host, options).Tags(t.Context())
			if said := strings.Join(bodies, " "); err == nil || leaks(said) != "" || len(h.all()) > 0 {
				t.Errorf("%d: %v; another host was sent %q", status, err, said)
			}
		}
	}
}

// A registry with TLS cannot have a login sent without.
func TestNoDowngrade(t *testing.T) {
	var h heard
	plain := other(t, &h, false)
	for name, handler := range map[string]http.HandlerFunc{
		"by a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
				answer(w, 401, "application/json", `{}`)
				return
			}
			http.Redirect(w, r, plain+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"by a realm": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+plain+`/token",service="s"`)
			answer(w, 401, "application/json", `{}`)
		},
		"by an upload": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Authorization") == "":
				w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
				answer(w, 401, "application/json", `{}`)
			case r.Method == http.MethodPost:
				w.Header().Set("Location", plain+"/v2/team/image/blobs/uploads/1")
				answer(w, 202, "application/json", "")
			default:
				answer(w, 404, "application/json", `{}`)
			}
		},
	} {
		server := httptest.NewTLSServer(handler)
		server.Config.ErrorLog = quietLog()
		t.Cleanup(server.Close)
		host := strings.TrimPrefix(server.URL, "https://")
		options := Options{Attempts: 1, PlainHTTP: never, InsecureTLS: true, Credentials: userAndPassword("me", thePassword)}
		client, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		for operation, err := range everything(t, openPath(t, client, host, "team/image")) {
			if err == nil && operation != "referrers" { // there are none
				t.Errorf("%s: %s worked", name, operation)
			}
		}
		_ = client.canPush(t.Context(), Reference{Registry: host, Repository: "team/image"})
		if said := h.all(); len(said) > 0 {
			t.Errorf("%s: sent without TLS: %q", name, said)
		}
	}
}

// An upload is not continued on another host, and no page of a list is read
// from one.
func TestLocationsOnOtherHosts(t *testing.T) {
	var h heard
	elsewhere := other(t, &h, false)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
		case r.Method == http.MethodPost:
			w.Header().Set("Location", elsewhere+"/v2/team/image/blobs/uploads/1")
			answer(w, 202, "application/json", "")
		case r.Method == http.MethodHead:
			answer(w, 404, "application/json", "")
		default:
			w.Header().Set("Link", "<"+elsewhere+`/v2/team/image/tags/list?n=1>; rel="next"`)
			answer(w, 200, ocispec.MediaTypeImageIndex, `{"tags":["a"]}`)
		}
	})
	options := Options{Attempts: 1, Credentials: userAndPassword("me", thePassword)}
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	repository := openPath(t, client, s.host, "team/image")
	if _, err := repository.Tags(t.Context()); kind(err) != "unreachable" {
		t.Errorf("tags: %v", err)
	}
	if err := repository.PushBlob(t.Context(), describe("application/x", []byte("blob")), []byte("blob")); kind(err) != "unreachable" {
		t.Errorf("push: %v", err)
	}
	if err := client.canPush(t.Context(), Reference{Registry: s.host, Repository: "team/image"}); err != nil {
		t.Errorf("an upload that could begin: %v", err)
	}
	if h.said != nil {
		t.Errorf("another host was asked %q", h.said)
	}
}

// Refusals name who was refused.
func TestRefusalsNameTheAccount(t *testing.T) {
	bad := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 400, "application/json", `{"error":"invalid_grant"}`)
	}
	for _, tt := range []struct {
		name    string
		account Account
		server  *script
		want    string
	}{
		{"a wrong password", Account{Username: "me", Password: "wr0ng"}, locked(t, "me", "right"), "(as me from the test)"},
		{"nobody", Account{}, locked(t, "me", "right"), "(anonymous)"},
		{"a token where a password is wanted", Account{RegistryToken: "t0ken"}, locked(t, "me", "right"), "(as the test)"},
		{"an expired identity token", Account{IdentityToken: theIdentity}, tokens(t, bad), "(as the test)"},
		{"an expired access token", Account{RegistryToken: theToken}, tokens(t, bad), "(as the test)"},
		{"a password that the token service refuses", Account{Username: "me", Password: "wr0ng"}, tokens(t, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 401, "application/json", `{}`)
		}), "(as me from the test)"},
	} {
		if !tt.account.anonymous() {
			tt.account.Source = "the test"
		}
		options := quick()
		options.Credentials = func(context.Context, string, string) (Account, error) { return tt.account, nil }
		for operation, err := range everything(t, open(t, tt.server.host, options)) {
			if kind(err) != "unauthorized" || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.server.host) {
				t.Errorf("%s: %s: %v; want %s", tt.name, operation, err, tt.want)
			}
		}
	}
}

// Some registries have their token service below /v2/. That it does not exist
// says nothing about a repository.
func TestTokenServiceBesideTheAPI(t *testing.T) {
	var s *script
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/auth" {
			answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/v2/auth",service="s"`)
		answer(w, 401, "application/json", `{}`)
	})
	for operation, err := range everything(t, open(t, s.host, quick())) {
		if kind(err) != "unreachable" {
			t.Errorf("%s: %v", operation, err)
		}
	}
}

// Neither a redirect nor an upload carries a login into another repository of
// the same registry. What is outside of all repositories gets it.
func TestLoginsStayInTheirRepository(t *testing.T) {
	blob := describe("application/x", []byte("blob"))
	for _, tt := range []struct {
		to    string
		login bool
	}{
		{"/v2/evil/repo/x", false}, {"/v2/team/image/../../evil/x", false}, {"/v2/team/image/%2e%2e/%2e%2e/evil/x", false},
		{"//v2/evil/x", false}, {"/v2/team/imagine/x", false}, {"/v2/", false},
		{"/v2/team/image/elsewhere", true}, {"/storage/x", true},
	} {
		var got []string
		s := serve(t, nil)
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			own := strings.HasPrefix(r.URL.Path, "/v2/team/image/") && !strings.Contains(r.URL.Path, "elsewhere") && !strings.Contains(r.URL.Path, "..")
			switch {
			case !own:
				if r.Header.Get("Authorization") != "" {
					got = append(got, r.Method)
				}
				answer(w, 201, "application/json", "")
			case r.Header.Get("Authorization") == "":
				w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
				answer(w, 401, "application/json", `{}`)
			case r.Method == http.MethodPost:
				w.Header().Set("Location", "http://"+s.host+tt.to)
				w.WriteHeader(http.StatusAccepted)
			default:
				w.Header().Set("Location", "http://"+s.host+tt.to)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
		}
		repository := open(t, s.host, Options{Attempts: 1, Credentials: userAndPassword("me", thePassword)})
		_, tags := repository.Tags(t.Context())
		_, blobs := repository.Blob(t.Context(), blob)
		push := repository.PushBlob(t.Context(), blob, []byte("blob"))
		if kind(tags) != "unreachable" || kind(blobs) != "unreachable" || (push == nil) != tt.login {
			t.Errorf("to %s: tags %v, blob %v, push %v", tt.to, tags, blobs, push)
		}
		d, manifest := manifestOf(t, "m", nil)
		if err := repository.PushManifest(t.Context(), d, manifest, "t"); (err == nil) != tt.login {
			t.Errorf("to %s: a manifest: %v", tt.to, err)
		}
		if (len(got) > 0) != tt.login {
			t.Errorf("to %s: the login was sent with %v, want %t", tt.to, got, tt.login)
		}
	}
}
