package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/registry"
)

// authority is a private certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	der, key, _ := a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.certificate, a.key, a.pem = certificate, key, block("CERTIFICATE", der)
	return a
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue signs a certificate and returns it, its key, and that as PEM.
func (a *authority) issue(t testing.TB, template *x509.Certificate) ([]byte, *ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key, block("PRIVATE KEY", secret)
}

// serve serves a handler by TLS, to clients with a certificate if want says so.
func (a *authority) serve(t testing.TB, want tls.ClientAuthType, handler http.Handler) (host string) {
	t.Helper()
	der, key, _ := a.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"registry.test"}})
	clients := x509.NewCertPool()
	clients.AddCert(a.certificate)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: want, ClientCAs: clients}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestLoginWithCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	l := loginAt(t, a.serve(t, tls.RequireAndVerifyClientCert, htpasswd(t, map[string]string{"alice": alicePassword})))
	l.env = append(l.env, "CAIB_PLAIN_HTTP=false")
	l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", alicePassword}})
	dir := filepath.Join(".config", "containers", "certs.d", l.host)
	der, _, key := a.issue(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})

	l.write(filepath.Join(dir, "ca.crt"), a.pem)
	says(t, l.exits(3, "catalog", "list"), l.host, "client certificate", "certs.d")
	l.write(filepath.Join(dir, "client.cert"), block("CERTIFICATE", der))
	says(t, l.exits(2, "catalog", "list"), "client.cert", "client.key")
	l.write(filepath.Join(dir, "client.key"), key)
	image := l.push("os/autosd", "alice", alicePassword, registry.Options{
		PlainHTTP: func(string) bool { return false }, CertificateDirs: []string{filepath.Join(l.home, ".config", "containers", "certs.d")},
	})
	l.exits(0, "catalog", "publish", image)
	says(t, l.exits(0, "catalog", "list"), "autosd")
	says(t, l.exits(0, "catalog", "login-check", image, "--push"), "alice", "ok")
	// The certificate is no login.
	l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", bobPassword}})
	says(t, l.exits(3, "catalog", "list"), "as alice from")
}

func TestLoginWithoutTheAuthority(t *testing.T) {
	t.Parallel()
	l := loginAt(t, newAuthority(t).serve(t, tls.NoClientCert, htpasswd(t, map[string]string{"alice": alicePassword})))
	l.auths(".docker/config.json", map[string][2]string{l.host: {"alice", alicePassword}})
	l.env = append(l.env, "CAIB_PLAIN_HTTP=false")
	says(t, l.exits(8, "catalog", "login-check", l.host+"/team/catalog"), "unknown", "x509", "--ca-file")
}

// proxy passes everything on to one host, for those who have its password.
type proxy struct {
	to string

	mu    sync.Mutex
	asked []string // METHOD HOST Authorization
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host+" "+r.Header.Get("Authorization"))
	p.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("proxy:"+proxyPassword)) {
		http.Error(w, "not you: "+r.Header.Get("Proxy-Authorization"), http.StatusProxyAuthRequired)
		return
	}
	target, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer target.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if r.Method == http.MethodConnect {
		_, err = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	} else {
		r.Header.Del("Proxy-Authorization")
		r.Header.Set("Connection", "close")
		err = r.Write(target)
	}
	if err != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(target, buffered)
		_ = target.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, bufio.NewReader(target))
	client.Close()
	<-ended
}

// takes returns what the proxy was asked since the last call.
func (p *proxy) takes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func startProxy(t testing.TB, to string) (*proxy, string) {
	t.Helper()
	p := &proxy{to: to}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, strings.TrimPrefix(server.URL, "http://")
}

func TestLoginByWayOfAProxy(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	users := htpasswd(t, map[string]string{"alice": alicePassword})
	plain := httptest.NewServer(users)
	t.Cleanup(plain.Close)
	for name, tt := range map[string]struct {
		to, variable, method string
		env                  []string
	}{
		"CONNECT": {a.serve(t, tls.NoClientCert, users), "HTTPS_PROXY", "CONNECT registry.test:443", nil},
		"plain":   {strings.TrimPrefix(plain.URL, "http://"), "http_proxy", "GET registry.test", []string{"CAIB_PLAIN_HTTP=true"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, address := startProxy(t, tt.to)
			l := loginAt(t, "registry.test")
			l.auths(".docker/config.json", map[string][2]string{"registry.test": {"alice", alicePassword}})
			l.write(filepath.Join(".config", "containers", "certs.d", "registry.test", "ca.crt"), a.pem)
			base := append(l.env, tt.env...)
			through := func(user string) { l.env = append(slices.Clone(base), tt.variable+"=http://"+user+address) }
			through("proxy:" + proxyPassword + "@")
			l.exits(0, "catalog", "list")
			says(t, l.exits(0, "catalog", "login-check", "registry.test/team/catalog", "--push"), "alice", "ok")
			says(t, l.exits(0, "config", "view"), "proxy:***@"+address)
			asked := p.takes()
			if len(asked) == 0 || !strings.HasPrefix(asked[0], tt.method) || (name == "CONNECT" && strings.Contains(strings.Join(asked, ""), "Basic")) {
				t.Errorf("the proxy was asked %q, want %s", asked, tt.method)
			}
			for _, wrong := range []string{"", "proxy:" + bobPassword[:4] + "-wr0ng@"} {
				through(wrong)
				says(t, l.exits(3, "catalog", "list"), "the proxy", "hint: give the proxy's user and password")
			}
			// Those whom NO_PROXY names are asked without it.
			p.takes()
			l.env = append(slices.Clone(base), tt.variable+"=http://"+address, "NO_PROXY=.test")
			l.exits(8, "catalog", "list")
			if asked := p.takes(); len(asked) > 0 {
				t.Errorf("the proxy was asked all the same: %q", asked)
			}
		})
	}
}
