package e2e

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// provider is an OpenID Connect provider that gives a token to whoever asks. It
// is two issuers to Fulcio, because each of Fulcio's issuers knows one kind of
// subject: people by e-mail address, and pipelines by URI.
type provider struct {
	url string
	key *ecdsa.PrivateKey
}

// audience is whom the tokens are made out to.
const audience = "sigstore"

func startProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{key: newECKey(t)}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.url = server.URL
	for _, name := range []string{p.people(), p.pipelines()} {
		path := strings.TrimPrefix(name, p.url)
		answer(mux, path+"/.well-known/openid-configuration", map[string]any{
			"issuer": name, "jwks_uri": p.url + "/keys", "authorization_endpoint": name + "/authorize", "token_endpoint": name + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	}
	answer(mux, "/keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	return p
}

func answer(mux *http.ServeMux, path string, value any) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	})
}

func (p *provider) people() string    { return p.url + "/people" }
func (p *provider) pipelines() string { return p.url + "/pipelines" }

// pipeline is the subject of a pipeline. Fulcio wants it on the host of its
// issuer.
func (p *provider) pipeline(path string) string { return "http://127.0.0.1" + path }

// of is the issuer that knows a subject.
func (p *provider) of(subject string) string {
	if strings.Contains(subject, "://") {
		return p.pipelines()
	}
	return p.people()
}

// issue issues an identity token to a subject: an e-mail address or a URI.
func (p *provider) issue(t testing.TB, subject string) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.of(subject), "sub": subject, "aud": audience,
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	if claims["iss"] == p.people() {
		claims["email"], claims["email_verified"] = subject, true
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// config is what Fulcio must know of the issuers.
func (p *provider) config(t testing.TB) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"OIDCIssuers": map[string]any{
		p.people():    map[string]string{"IssuerURL": p.people(), "ClientID": audience, "Type": "email"},
		p.pipelines(): map[string]string{"IssuerURL": p.pipelines(), "ClientID": audience, "Type": "uri", "SubjectDomain": p.pipeline("")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
