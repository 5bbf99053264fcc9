package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseChallenges(t *testing.T) {
	bearer := func(pairs ...string) map[string]string {
		params := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			params[pairs[i]] = pairs[i+1]
		}
		return params
	}
	for _, tt := range []struct {
		name    string
		headers []string
		want    []challenge
	}{
		{"one", []string{`Bearer realm="https://t.example.com/token",service="s",scope="repository:a/b:pull,push"`},
			[]challenge{{"bearer", bearer("realm", "https://t.example.com/token", "service", "s", "scope", "repository:a/b:pull,push")}}},
		{"an unquoted realm", []string{`Bearer realm=https://t.example.com/token,service=s`},
			[]challenge{{"bearer", bearer("realm", "https://t.example.com/token", "service", "s")}}},
		{"single quotes", []string{`bearer Realm='https://t.example.com/token'`}, []challenge{{"bearer", bearer("realm", "https://t.example.com/token")}}},
		{"two in one header", []string{`Negotiate, Basic realm="a, b"`}, []challenge{{"negotiate", bearer()}, {"basic", bearer("realm", "a, b")}}},
		{"two headers", []string{"Negotiate", `Basic realm="a"`}, []challenge{{"negotiate", bearer()}, {"basic", bearer("realm", "a")}}},
		{"data after the scheme", []string{`Negotiate YIIB/+w==, NTLM TlRM, Basic realm="a"`},
			[]challenge{{"negotiate", bearer()}, {"ntlm", bearer()}, {"basic", bearer("realm", "a")}}},
		{"many parameters", []string{`Digest realm="d", qop="auth,auth-int", nonce="n=", Basic realm="a"`},
			[]challenge{{"digest", bearer("realm", "d", "qop", "auth,auth-int", "nonce", "n=")}, {"basic", bearer("realm", "a")}}},
		{"spaces around the sign", []string{`Basic realm = "a" , Bearer realm= "https://t"`},
			[]challenge{{"basic", bearer("realm", "a")}, {"bearer", bearer("realm", "https://t")}}},
		{"an escape", []string{`Basic realm="a \" b"`}, []challenge{{"basic", bearer("realm", `a " b`)}}},
		{"no parameters", []string{"BASIC"}, []challenge{{"basic", bearer()}}},
		{"nothing", []string{"", " , ,"}, nil},
		{"nonsense", []string{`"Basic"`, `Basic realm="never ends`}, []challenge{{"basic", bearer("realm", "never ends")}}},
	} {
		got := parseChallenges(tt.headers)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(challenge{})); diff != "" {
			t.Errorf("%s: %q (-want +got)\n%s", tt.name, tt.headers, diff)
		}
	}
}

// What cannot be answered is not chosen, and a token service comes before a
// password that goes to the registry itself.
func TestUsableChallenges(t *testing.T) {
	asked, err := url.Parse("https://r.example.com/v2/a/tags/list")
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		`Basic realm="a", Bearer realm="https://t/token"`:            "bearer https://t/token, basic a",
		`Bearer realm="https://t/token", Basic realm="a"`:            "bearer https://t/token, basic a",
		`Bearer realm="/token"`:                                      "bearer https://r.example.com/token",
		`Bearer service="s", Basic realm="a"`:                        "basic a",
		`Bearer realm="ftp://t/token", Basic`:                        "basic ",
		`Bearer realm="https://%zz", Negotiate, Digest realm="d"`:    "",
		`Negotiate, Bearer realm=https://t/token?x=y, NTLM, Unknown`: "bearer https://t/token?x=y",
	} {
		var got []string
		for _, c := range usable(parseChallenges([]string{header}), asked) {
			got = append(got, c.scheme+" "+c.params["realm"])
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %q, want %q", header, text, want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, text := range []string{`Bearer realm="x",scope="a b"`, "Negotiate YII=, Basic", `Digest a="\"`, "=,=", `a b=c d`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range parseChallenges([]string{text}) {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) {
				t.Errorf("%q has the scheme %q", text, c.scheme)
			}
		}
	})
}

// challenged is a registry that lets in me:s3cr3t by Basic and the token t0ken
// by Bearer, as far as it offers them, and answers others with headers.
func challenged(t *testing.T, basic, bearer bool, headers func(host string) []string) *script {
	t.Helper()
	var s *script
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, isBasic := r.BasicAuth()
		switch {
		case r.URL.Path == "/token":
			if !bearer || user != "me" || password != "s3cr3t" {
				answer(w, 403, "application/json", `{}`)
				return
			}
			answer(w, 200, "application/json", `{"token":"t0ken"}`)
		case basic && isBasic && user == "me" && password == "s3cr3t", bearer && r.Header.Get("Authorization") == "Bearer t0ken":
			answer(w, 200, "application/json", `{"tags":["a"]}`)
		default:
			for _, header := range headers(s.host) {
				w.Header().Add("WWW-Authenticate", header)
			}
			answer(w, 401, "application/json", `{}`)
		}
	})
	return s
}

// D11: the best of all challenges is answered, in whatever form and order they
// come, and the next where that one leads to nothing.
func TestSeveralChallenges(t *testing.T) {
	for _, tt := range []struct {
		name          string
		basic, bearer bool
		headers       func(host string) []string
		requests      int
	}{
		{"Negotiate and Basic in one header", true, false, func(string) []string { return []string{`Negotiate, Basic realm="r"`} }, 2},
		{"Negotiate and Basic in two", true, false, func(string) []string { return []string{"Negotiate", `Basic realm="r"`} }, 2},
		{"Basic before Bearer", false, true, func(host string) []string {
			return []string{`Basic realm="r"`, `Bearer realm="http://` + host + `/token"`}
		}, 3},
		{"Bearer without quotes", false, true, func(host string) []string { return []string{`Bearer realm=http://` + host + `/token,service=s`} }, 3},
		{"Bearer without a host", false, true, func(string) []string { return []string{`Bearer realm="/token"`} }, 3},
		{"a token service that does not work", true, false, func(host string) []string {
			return []string{`Bearer realm="http://` + host + `/token"`, `Basic realm="r"`}
		}, 4},
		{"a realm that is none", true, false, func(string) []string { return []string{`Bearer realm="nowhere:"`, `Basic realm="r"`} }, 2},
	} {
		s := challenged(t, tt.basic, tt.bearer, tt.headers)
		options := quick()
		options.Credentials = userAndPassword("me", "s3cr3t")
		tags, err := open(t, s.host, options).Tags(t.Context())
		if err != nil || len(tags) != 1 || len(s.requests()) != tt.requests {
			t.Errorf("%s: %v, %v after %v; want %d requests", tt.name, tags, err, s.requests(), tt.requests)
		}
	}
}

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
	good := func(w http.ResponseWriter, r *http.Request) {
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

// However many challenges one answer has, few are answered.
func TestManyChallenges(t *testing.T) {
	for name, tt := range map[string]struct {
		challenge func(host string, i int) string
		most      int // requests, those for tokens included
	}{
		"Basic":      {func(string, int) string { return `Basic realm="r"` }, 2},
		"one Bearer": {func(host string, _ int) string { return `Bearer realm="http://` + host + `/token",service="s"` }, 3},
		"Bearers":    {func(host string, i int) string { return fmt.Sprintf(`Bearer realm="http://%s/token%d"`, host, i) }, 3 * maxBearer},
		"Bearer and Basic": {func(host string, i int) string {
			return fmt.Sprintf(`Basic, Bearer realm="http://%s/token%d"`, host, i)
		}, 3*maxBearer + 2},
	} {
		var s *script
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/token") {
				answer(w, 200, "application/json", `{"token":"useless"}`)
				return
			}
			var all []string
			for i := range 300 {
				all = append(all, tt.challenge(s.host, i))
			}
			w.Header().Set("WWW-Authenticate", strings.Join(all, ", "))
			answer(w, 401, "application/json", `{}`)
		})
		_, err := open(t, s.host, Options{Attempts: 1, Credentials: userAndPassword("me", "s3cr3t")}).Tags(t.Context())
		if kind(err) != "unauthorized" || len(s.requests()) > tt.most {
			t.Errorf("%s: got %v after %d requests, want unauthorized after at most %d", name, err, len(s.requests()), tt.most)
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

// D18: a token that was got for a challenge with another scope than ours is
// tried first from then on.
func TestTokensForAnotherScope(t *testing.T) {
	for _, scope := range []string{"*", "repository:other/name:pull", "repository:team/image:pull,push", "registry:catalog:*"} {
		var s *script
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token":
				answer(w, 200, "application/json", `{"token":"t0ken"}`)
			case r.Header.Get("Authorization") == "Bearer t0ken":
				answer(w, 200, "application/json", `{"tags":["a"]}`)
			default:
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token",service="s",scope="`+scope+`"`)
				answer(w, 401, "application/json", `{}`)
			}
		})
		repository := open(t, s.host, quick())
		for range 5 {
			if _, err := repository.Tags(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(s.requests()); got != 2+5 {
			t.Errorf("scope %s: %d requests, want the challenge, the token, and 5:\n%s", scope, got, strings.Join(s.requests(), "\n"))
		}
	}
}

// A token that the registry no longer takes is asked for anew, once.
func TestTokensExpire(t *testing.T) {
	token := "first"
	var s *script
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			answer(w, 200, "application/json", `{"token":"`+token+`"}`)
		case r.Header.Get("Authorization") == "Bearer "+token:
			answer(w, 200, "application/json", `{"tags":["a"]}`)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token",scope="*"`)
			answer(w, 401, "application/json", `{}`)
		}
	})
	repository := open(t, s.host, quick())
	for _, token = range []string{"first", "second", "third"} {
		before := len(s.requests())
		for range 3 {
			if _, err := repository.Tags(t.Context()); err != nil {
				t.Fatalf("%s: %v", token, err)
			}
		}
		if asked := len(s.requests()) - before; asked != 5 {
			t.Errorf("%s: %d requests, want 5", token, asked)
		}
	}
}

// D7: who is going to write asks for the right to at once; some registries show
// a repository that does not exist only to those who may begin it.
func TestWritersAskForWhatTheyNeed(t *testing.T) {
	for _, trims := range []bool{true, false} {
		for _, mayPush := range []bool{true, false} {
			var s *script
			s = serve(t, func(w http.ResponseWriter, r *http.Request) {
				scope := r.URL.Query().Get("scope")
				pushes := strings.Contains(scope, "push")
				switch {
				case r.URL.Path == "/token" && pushes && !mayPush && !trims:
					answer(w, 403, "application/json", `{"errors":[{"code":"DENIED"}]}`)
				case r.URL.Path == "/token" && pushes && mayPush:
					answer(w, 200, "application/json", `{"token":"pushes"}`)
				case r.URL.Path == "/token":
					answer(w, 200, "application/json", `{"token":"pulls"}`)
				case r.Header.Get("Authorization") == "":
					w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token",scope="repository:team/image:pull"`)
					answer(w, 401, "application/json", `{}`)
				case r.Method == http.MethodPost && r.Header.Get("Authorization") != "Bearer pushes":
					answer(w, 403, "application/json", `{}`)
				case r.Method == http.MethodPost:
					w.WriteHeader(202)
				default:
					answer(w, 200, "application/json", `{"tags":["a"]}`)
				}
			})
			client, err := New(quick())
			if err != nil {
				t.Fatal(err)
			}
			ref := Reference{Registry: s.host, Repository: "team/image"}
			if expectPush(t, client, ref); len(s.requests()) > 0 {
				t.Fatalf("it asked %v", s.requests())
			}
			for range 2 {
				if _, err := openPath(t, client, s.host, "team/image").Tags(t.Context()); err != nil {
					t.Errorf("trims %t, may push %t: reading: %v", trims, mayPush, err)
				}
			}
			want := map[bool]string{true: "", false: "unauthorized"}[mayPush]
			if err := client.canPush(t.Context(), ref); kind(err) != want {
				t.Errorf("trims %t, may push %t: writing: %v", trims, mayPush, err)
			}
			if mayPush && len(s.requests()) != 5 {
				t.Errorf("%d requests, want a challenge, a token, two lists and the upload:\n%s", len(s.requests()), strings.Join(s.requests(), "\n"))
			}
		}
	}
}
