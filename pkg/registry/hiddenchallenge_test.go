package registry

import (
	"context"
	"net/http"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A 401 without a challenge is answered where the registry's base URL has one.
func TestChallengeOfTheBaseURL(t *testing.T) {
	s := challenged(t, true, false, func(string) []string { return nil })
	inner := s.handler
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		}
		inner(w, r)
	}
	options := quick()
	options.Credentials = userAndPassword("me", "s3cr3t")
	if tags, err := open(t, s.host, options).Tags(t.Context()); err != nil || len(tags) != 1 {
		t.Errorf("%v, %v after %v", tags, err, s.requests())
	}
}

// hidden is a registry that answers strangers with bad instead of a challenge,
// and lets in me:s3cr3t.
func hidden(t *testing.T, bad, good http.HandlerFunc) *script {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user == "me" && password == "s3cr3t":
			good(w, r)
		case r.URL.Path == "/v2/":
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
		default:
			bad(w, r)
		}
	})
}

// D2: what a stranger is told is not believed while a login is stored.
func TestNothingIsBelievedAsAnonymous(t *testing.T) {
	manifest, body := manifestOf(t, "m", nil)
	blob := describe("application/x", []byte("blob"))
	good := goodRegistry(manifest, body)
	status := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, "application/json", body) }
	}
	for name, bad := range map[string]http.HandlerFunc{
		"404":                     status(404, `{"errors":[{"code":"NAME_UNKNOWN"}]}`),
		"403":                     status(403, `{"errors":[{"code":"DENIED"}]}`),
		"405":                     status(405, ``),
		"401 without a challenge": status(401, ``),
		"400":                     status(400, `{}`),
	} {
		s := hidden(t, bad, good)
		options := quick()
		options.Credentials = userAndPassword("me", "s3cr3t")
		repository := open(t, s.host, options)
		ctx := t.Context()
		tags, err := repository.Tags(ctx)
		if err != nil || len(tags) != 1 {
			t.Errorf("%s: tags %v, %v after %v", name, tags, err, s.requests())
		}
		for operation, ask := range map[string]func(Repository) error{
			"resolve":  func(r Repository) error { _, err := r.Resolve(ctx, "t"); return err },
			"manifest": func(r Repository) error { _, _, err := r.Manifest(ctx, "t"); return err },
			"blob":     func(r Repository) error { _, err := r.Blob(ctx, blob); return err },
			"stat":     func(r Repository) error { return r.StatBlob(ctx, blob) },
			"push":     func(r Repository) error { return r.PushBlob(ctx, blob, []byte("blob")) },
			"put":      func(r Repository) error { return r.PushManifest(ctx, manifest, body, "t") },
			"referrers": func(r Repository) error {
				list, err := r.Referrers(ctx, blob)
				if len(list) != 1 {
					t.Errorf("%s: referrers %v", name, list)
				}
				return err
			},
		} {
			// Each is the first request of a client.
			if err := ask(open(t, s.host, options)); err != nil {
				t.Errorf("%s: %s: %v", name, operation, err)
			}
		}
	}
}

// An empty list for strangers is an answer like any other.
func TestListsForStrangers(t *testing.T) {
	for name, list := range map[string]string{"tags": `{"tags":[]}`, "a shorter list": `{"tags":["a"]}`} {
		s := hidden(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", list) },
			func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", `{"tags":["a","b"]}`) })
		options := quick()
		options.Credentials = userAndPassword("me", "s3cr3t")
		if tags, err := open(t, s.host, options).Tags(t.Context()); err != nil || len(tags) != 2 {
			t.Errorf("%s: %v, %v", name, tags, err)
		}
		if tags, err := open(t, s.host, quick()).Tags(t.Context()); err != nil || len(tags) == 2 {
			t.Errorf("%s, and no login is stored: %v, %v", name, tags, err)
		}
	}
}

// Where no login is stored, or none is needed, nothing more is asked than that.
func TestAnonymousAnswersCostNothing(t *testing.T) {
	missing := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
	}
	asked := 0
	nobody := func(context.Context, string, string) (Account, error) { asked++; return Account{}, nil }
	s := serve(t, missing)
	options := quick()
	options.Credentials = nobody
	repository := open(t, s.host, options)
	for range 5 {
		if _, err := repository.Resolve(t.Context(), "t"); kind(err) != "not found" {
			t.Error(err)
		}
	}
	if asked != 1 || len(s.requests()) != 5 {
		t.Errorf("%v asked, and a login looked for %d times; want 5 requests and once", s.requests(), asked)
	}
	open := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
	}
	s = serve(t, open)
	options.Credentials = userAndPassword("me", "s3cr3t")
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if tags, err := openPath(t, client, s.host, "team/image").Tags(t.Context()); err != nil || len(tags) != 0 {
			t.Errorf("%v, %v", tags, err)
		}
	}
	if len(s.requests()) != 5 {
		t.Errorf("%v; want the base URL once, and the first question again", s.requests())
	}
}

// That the base URL lets strangers in, or is not there, says nothing of a
// repository: a login that is stored for it is tried. One that only a token
// service takes cannot be, where none is named.
func TestBaseURLsThatLetStrangersIn(t *testing.T) {
	token := func(context.Context, string, string) (Account, error) {
		return Account{IdentityToken: "t0k3n", Source: "a test"}, nil
	}
	for _, base := range []int{200, 204, 404, 405} {
		for name, tt := range map[string]struct {
			stranger int
			login    func(context.Context, string, string) (Account, error)
			want     string // the kind of error; "" is the list that the login opens
		}{
			"401 without a challenge": {401, userAndPassword("me", "s3cr3t"), ""},
			"403":                     {403, userAndPassword("me", "s3cr3t"), ""},
			"404":                     {404, userAndPassword("me", "s3cr3t"), ""},
			"401 without a challenge, and a login unheard": {401, userAndPassword("me", "other"), "unauthorized"},
			"404, and a login unheard":                     {404, userAndPassword("me", "other"), "unauthorized"},
			"403, and a token":                             {403, token, "unauthorized"},
		} {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, password, given := r.BasicAuth()
				switch {
				case r.URL.Path == "/v2/":
					answer(w, base, "application/json", `{}`)
				case password == "s3cr3t":
					answer(w, 200, "application/json", `{"tags":["hidden"]}`)
				case given:
					answer(w, 401, "application/json", `{}`)
				default:
					answer(w, tt.stranger, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
				}
			})
			tags, err := open(t, s.host, Options{Attempts: 1, Credentials: tt.login}).Tags(t.Context())
			if kind(err) != tt.want || (err == nil && len(tags) != 1) {
				t.Errorf("%d, %s: got %v, %v after %v; want %q", base, name, tags, err, s.requests(), tt.want)
			}
		}
	}
}

// A base URL that says neither that strangers are let in, nor how to log in, is
// no reason to believe what strangers are told.
func TestBaseURLThatDoesNotChallenge(t *testing.T) {
	challenging := func(status int, challenge string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(status)
		}
	}
	for name, tt := range map[string]struct {
		base  http.HandlerFunc
		known bool   // the login opens the repository
		want  string // the kind of error; "" is the list that the login opens
	}{
		"a redirect to a page":         {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, true, ""},
		"a redirect without a slash":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v2", http.StatusMovedPermanently) }, true, ""},
		"forbidden":                    {challenging(403, `Basic realm="r"`), true, ""},
		"a bad request":                {challenging(400, ""), true, ""},
		"no challenge":                 {challenging(401, ""), true, ""},
		"another challenge":            {challenging(401, "Negotiate"), true, ""},
		"another, and a login unheard": {challenging(401, "Negotiate"), false, "unauthorized"},
		"forbidden for all":            {challenging(403, ""), false, "unauthorized"},
		"throttled":                    {challenging(429, ""), true, "unreachable"},
		"not there":                    {challenging(501, ""), true, "unreachable"},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			switch {
			case r.URL.Path == "/v2/":
				tt.base(w, r)
			case password == "" || r.URL.Path == "/v2":
				answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
			case !tt.known:
				answer(w, 403, "application/json", `{}`)
			default:
				answer(w, 200, "application/json", `{"tags":["hidden"]}`)
			}
		})
		options := Options{Attempts: 1, Credentials: userAndPassword("me", "s3cr3t")}
		tags, err := open(t, s.host, options).Tags(t.Context())
		if kind(err) != tt.want || (err == nil && len(tags) != 1) {
			t.Errorf("%s: got %v, %v after %v; want %q", name, tags, err, s.requests(), tt.want)
		}
	}
}

// A base URL that cannot be asked leaves open what the answer means.
func TestBaseURLThatFails(t *testing.T) {
	s := hidden(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
	}, nil)
	inner := s.handler
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			answer(w, 500, "text/plain", "oops")
			return
		}
		inner(w, r)
	}
	options := quick()
	options.Credentials = userAndPassword("me", "s3cr3t")
	if tags, err := open(t, s.host, options).Tags(t.Context()); kind(err) != "unreachable" {
		t.Errorf("%v, %v", tags, err)
	}
}

// goodRegistry has a manifest, of whatever is asked for.
func goodRegistry(manifest ocispec.Descriptor, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/tags/list"):
			answer(w, 200, "application/json", `{"tags":["t"]}`)
		case strings.Contains(r.URL.Path, "/referrers/"):
			answer(w, 200, "application/json", `{"manifests":[{"mediaType":"`+manifest.MediaType+`","digest":"`+manifest.Digest.String()+`","size":1}]}`)
		case strings.Contains(r.URL.Path, "/manifests/"):
			w.Header().Set("Docker-Content-Digest", manifest.Digest.String())
			answer(w, 200, manifest.MediaType, string(body))
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "/v2/team/image/blobs/uploads/1")
			w.WriteHeader(202)
		case r.Method == http.MethodPut, r.Method == http.MethodDelete:
			w.WriteHeader(201)
		default:
			answer(w, 200, "application/octet-stream", "blob")
		}
	}
}
