package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// startRegistry starts a registry that wants a login, and returns its host.
func startRegistry(t *testing.T) string {
	t.Helper()
	handler := ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "pipeline" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}`, http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// newHome makes a home directory with a stored login, a key pair and a policy that
// trusts it.
func newHome(t *testing.T, host string) string {
	t.Helper()
	home := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	login := base64.StdEncoding.EncodeToString([]byte("pipeline:secret"))
	for name, text := range map[string]string{
		".docker/config.json": fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, login),
		"team.key":            string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"team.pub":            string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"policy.yaml":         "version: 1\ndefault: {keys: [{file: team.pub}]}\n",
	} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// environment has a home directory, and nothing else.
func environment(home string) func(string) string {
	return func(name string) string { return map[string]string{"HOME": home}[name] }
}

// pushImage pushes an image with the stored login.
func pushImage(t *testing.T, getenv func(string) string, reference string) {
	t.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	client, err := registry.New(registry.Options{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	to, err := client.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	build := samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: reference, Created: time.Unix(1e9, 0)}
	if _, err := samples.Bootc(t.Context(), to, ref.Tag, build); err != nil {
		t.Fatal(err)
	}
}

// The example works with the login that docker stored, and without it gets an
// error that says so. What somebody else publishes unsigned, the policy refuses.
func TestPipeline(t *testing.T) {
	host := startRegistry(t)
	home := newHome(t, host)
	reference, image := host+"/os/catalog", host+"/os/autosd:1"
	pushImage(t, environment(home), image)
	pushImage(t, environment(home), host+"/os/other:1")
	unsigned, err := catalog.Open(reference, catalog.Options{Getenv: environment(home)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unsigned.Publish(t.Context(), host+"/os/other:1", catalog.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	play := func(home string) (string, error) {
		var out bytes.Buffer
		args := []string{reference, image, filepath.Join(home, "team.key"), filepath.Join(home, "policy.yaml")}
		err := run(t.Context(), environment(home), &out, args)
		return out.String(), err
	}
	const want = "autosd is verified, one of 1; the policy refuses 1\n"
	if got, err := play(home); err != nil || got != want {
		t.Errorf("got %q and the error %v, want %q and none", got, err, want)
	}
	stranger := newHome(t, "registry.example.com")
	if got, err := play(stranger); !errors.Is(err, entry.ErrUnauthorized) {
		t.Errorf("without a login: got %q and the error %v, want one of the kind unauthorized", got, err)
	}
}
