package registries

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
)

const (
	issuer  = "tokens.test"
	service = "registry.test"
)

// User is somebody whom a token service knows.
type User struct {
	Password string
	Identity string   // the identity token (OAuth2 refresh token); "" is none
	May      []string // actions: pull, push
	Below    string   // only on repositories with this prefix
}

// Tokens is a token service as distribution wants one: it signs who may do
// what, for passwords (GET) and for identity tokens (POST).
type Tokens struct {
	URL   string
	Users map[string]User

	key ed25519.PrivateKey

	mu    sync.Mutex
	asked []string // USER SCOPE of every request that was granted
}

// NewTokens starts a token service.
func NewTokens(t testing.TB, users map[string]User) *Tokens {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Tokens{Users: users, key: key}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/token"
	return s
}

// Distribution3 is a registry that believes the token service.
func (s *Tokens) Distribution3(t testing.TB) http.Handler {
	t.Helper()
	public := base64.RawURLEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
	jwks := filepath.Join(t.TempDir(), "jwks.json")
	text := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"test","x":"` + public + `"}]}`
	if err := os.WriteFile(jwks, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Distribution3Locked(t, "token", configuration.Parameters{"realm": s.URL, "service": service, "issuer": issuer, "jwks": jwks})
}

// Asked returns USER SCOPE of every token that was given out, sorted.
func (s *Tokens) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.asked))
}

// Sign makes an access token that ends at a time, for some actions on a
// repository.
func (s *Tokens) Sign(t testing.TB, ends time.Time, repository string, actions ...string) string {
	t.Helper()
	return s.sign(ends, []access{{"repository", repository, actions}})
}

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

func (s *Tokens) sign(ends time.Time, granted []access) string {
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "aud": service, "sub": "test", "access": granted,
		"exp": ends.Unix(), "nbf": ends.Add(-24 * time.Hour).Unix(), "iat": ends.Add(-24 * time.Hour).Unix(),
	})
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"EdDSA","typ":"JWT","kid":"test"}`)) + "." + encode(claims)
	return text + "." + encode(ed25519.Sign(s.key, []byte(text)))
}

func (s *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, user, scopes := s.who(r)
	if name == "" {
		status := http.StatusUnauthorized
		if r.Method == http.MethodPost {
			status = http.StatusBadRequest
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		// A service that is careless with what it was told.
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_grant", "errors": []any{map[string]string{
			"code": "UNAUTHORIZED", "message": "not known: " + r.Header.Get("Authorization") + r.Form.Encode(),
		}}})
		return
	}
	var granted []access
	for _, scope := range scopes {
		part := strings.Split(scope, ":")
		if len(part) != 3 || !strings.HasPrefix(part[1], user.Below) {
			continue
		}
		may := slices.DeleteFunc(strings.Split(part[2], ","), func(action string) bool { return !slices.Contains(user.May, action) })
		granted = append(granted, access{part[0], part[1], may})
	}
	s.mu.Lock()
	s.asked = append(s.asked, name+" "+strings.Join(scopes, " "))
	s.mu.Unlock()
	token := s.sign(time.Now().Add(time.Hour), granted)
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "access_token": token, "refresh_token": user.Identity})
}

// who tells the user of a request, and the scopes asked for; "" is nobody.
func (s *Tokens) who(r *http.Request) (string, User, []string) {
	_ = r.ParseForm()
	scopes := strings.Fields(strings.Join(r.Form["scope"], " "))
	given, password, _ := r.BasicAuth()
	for name, user := range s.Users {
		known := given == name && password == user.Password
		if r.Method == http.MethodPost {
			known = r.PostForm.Get("grant_type") == "refresh_token" && user.Identity != "" && r.PostForm.Get("refresh_token") == user.Identity
		}
		if known {
			return name, user, scopes
		}
	}
	if given == "" && r.Method == http.MethodGet {
		return "nobody", User{}, scopes // anonymous, and may do nothing
	}
	return "", User{}, nil
}
