package registry

import (
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
