package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	thePassword = "pa55/word_Of+Me"
	theIdentity = "1dentity.token/Of_Me"
	theToken    = "acce55.token_Of.Me"
)

// theSecrets are what must be in nothing that is printed, in any case.
func theSecrets() []string {
	return []string{thePassword, theIdentity, theToken, basic("me", thePassword), url.QueryEscape(thePassword), url.QueryEscape(theIdentity)}
}

// leaks finds a secret in a text, or as much of it as helps to guess the rest.
func leaks(text string) string {
	loose := strings.NewReplacer("_", " ")
	for _, secret := range theSecrets() {
		secret = secret[:9]
		if strings.Contains(loose.Replace(strings.ToLower(text)), loose.Replace(strings.ToLower(secret))) {
			return secret
		}
	}
	return ""
}

// echoes are ways in which a server repeats what it was sent.
var echoes = map[string]func(w http.ResponseWriter, r *http.Request, sent string){
	"in a message": func(w http.ResponseWriter, _ *http.Request, sent string) { refuse(w, "DENIED", "no: "+sent, nil) },
	"in a code":    func(w http.ResponseWriter, _ *http.Request, sent string) { refuse(w, sent, "", nil) },
	"in details": func(w http.ResponseWriter, _ *http.Request, sent string) {
		refuse(w, "DENIED", "no", map[string]string{"you sent": sent})
	},
	"where a text is cut": func(w http.ResponseWriter, _ *http.Request, sent string) {
		refuse(w, "DENIED", strings.Repeat("x", 380)+sent+sent+sent+sent, nil)
	},
	"as a page":                     func(w http.ResponseWriter, _ *http.Request, sent string) { answer(w, 403, "text/html", sent) },
	"in a status that is no answer": func(w http.ResponseWriter, _ *http.Request, sent string) { answer(w, 200, "application/json", sent) },
	"in a redirect's path": func(w http.ResponseWriter, r *http.Request, sent string) {
		if strings.HasPrefix(r.URL.Path, "/there/") {
			refuse(w, "DENIED", "no", nil)
			return
		}
		w.Header().Set("Location", "/there/"+url.PathEscape(sent)+"?"+url.QueryEscape(sent))
		w.WriteHeader(http.StatusTemporaryRedirect)
	},
	"in a redirect's user": func(w http.ResponseWriter, _ *http.Request, sent string) {
		w.Header().Set("Location", "http://"+url.PathEscape(sent)+":x@127.0.0.1:1/")
		w.WriteHeader(http.StatusTemporaryRedirect)
	},
	"in a redirect that is none": func(w http.ResponseWriter, _ *http.Request, sent string) {
		w.Header().Set("Location", "http://%zz/"+sent)
		w.WriteHeader(http.StatusTemporaryRedirect)
	},
	"in a challenge": func(w http.ResponseWriter, _ *http.Request, sent string) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="ftp://`+sent+`",service="`+sent+`"`)
		refuse(w, "DENIED", "no", nil)
	},
	"in a realm on another host": func(w http.ResponseWriter, _ *http.Request, sent string) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://localhost:1/`+url.PathEscape(sent)+`",service="s"`)
		answer(w, 401, "application/json", `{}`)
	},
	"in a type": func(w http.ResponseWriter, _ *http.Request, sent string) {
		answer(w, 200, "text/html; x="+sent, "<html>")
	},
}

func refuse(w http.ResponseWriter, code, message string, detail any) {
	text, err := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": code, "message": message, "detail": detail}}})
	if err != nil {
		panic(err)
	}
	answer(w, 403, "application/json", string(text))
}

// sent is what a request says of its sender.
func sent(r *http.Request) string {
	user, password, _ := r.BasicAuth()
	form, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	values, _ := url.ParseQuery(string(form))
	return strings.TrimSpace(strings.Join([]string{r.Header.Get("Authorization"), user, password, string(form), values.Get("refresh_token")}, " "))
}

// Whatever a registry or a token service repeats, no error shows it, nor does
// the log. What is not secret stays readable.
func TestEchoes(t *testing.T) {
	for _, hostile := range []string{"basic", "registry", "token service", "token service with an identity token"} {
		for name, echo := range echoes {
			t.Run(hostile+" "+name, func(t *testing.T) {
				var text bytes.Buffer
				options := Options{Attempts: 1, Logger: debugLogger(&text)}
				account := Account{Username: "me", Password: thePassword, Source: "the test"}
				if strings.Contains(hostile, "identity") {
					account = Account{IdentityToken: theIdentity, Source: "the test"}
				}
				options.Credentials = func(context.Context, string, string) (Account, error) { return account, nil }
				echoed := false
				var s *script
				s = serve(t, func(w http.ResponseWriter, r *http.Request) {
					authorized, token := r.Header.Get("Authorization") != "", r.URL.Path == "/token"
					switch {
					case token && !strings.HasPrefix(hostile, "token"):
						answer(w, 200, "application/json", `{"token":"`+theToken+`"}`)
					case token, authorized, strings.HasPrefix(r.URL.Path, "/there/"):
						echoed = true
						echo(w, r, sent(r))
					case hostile == "basic":
						w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
						answer(w, 401, "application/json", `{}`)
					default:
						w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token",service="s"`)
						answer(w, 401, "application/json", `{}`)
					}
				})
				for operation, err := range everything(t, open(t, s.host, options)) {
					if err == nil || leaks(err.Error()) != "" || !strings.Contains(err.Error(), s.host+"/team/image") {
						t.Errorf("%s shows %q: %v", operation, leaks(fmt.Sprint(err)), err)
					}
				}
				if found := leaks(text.String()); found != "" || !echoed {
					t.Errorf("echoed: %t; the log shows %q:\n%s", echoed, found, &text)
				}
			})
		}
	}
}

func TestRedact(t *testing.T) {
	known := &secrets{}
	known.account(Account{Username: "me", Password: thePassword, IdentityToken: theIdentity})
	known.account(Account{Password: "abc"}) // a word, not to be told from others
	for text, want := range map[string]string{
		"nothing to hide, abc": "nothing to hide, abc",
		thePassword:            masked,
		"<" + thePassword + ">" + thePassword + "!":         "<" + masked + ">" + masked + "!",
		strings.ToUpper(theIdentity) + " " + "é" + theToken: masked + " é" + theToken,
		"Basic " + basic("me", thePassword):                 "Basic " + masked,
		"grant=" + url.QueryEscape(theIdentity):             "grant=" + masked,
	} {
		if got := known.redact(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	for i := range 3 * maxSecrets {
		known.add(fmt.Sprintf("secret %08d", i))
	}
	if len(known.last) > maxSecrets || known.redact(fmt.Sprintf("secret %08d", 3*maxSecrets-1)) != masked {
		t.Errorf("%d secrets are remembered", len(known.last))
	}
}
