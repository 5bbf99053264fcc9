package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// authority is a private certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.certificate, a.key, a.pem, _ = a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue signs a certificate, its own if the authority has none yet.
func (a *authority) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return certificate, key, encode("CERTIFICATE", der), encode("PRIVATE KEY", secret)
}

// client issues a client certificate, and returns it with its key.
func (a *authority) client(t *testing.T) (certificate, key string) {
	_, _, certificate, key = a.issue(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return certificate, key
}

// serve starts a server of the authority that wants client certificates, and
// counts those it sees.
func (a *authority) serve(t *testing.T, want tls.ClientAuthType, handler http.HandlerFunc) (host string, shown *[]string) {
	t.Helper()
	_, _, certificate, key := a.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	var seen []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range r.TLS.PeerCertificates {
			seen = append(seen, r.URL.Path)
		}
		handler(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: want, ClientCAs: pool}
	server.Config.ErrorLog = quietLog()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), &seen
}

func oneTag(w http.ResponseWriter, _ *http.Request) {
	answer(w, 200, "application/json", `{"tags":["a"]}`)
}

// hostDir makes a host's directory of certificates.
func hostDir(t *testing.T, parent, host string, files map[string]string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		host = strings.ReplaceAll(host, ":", "")
	}
	if err := os.MkdirAll(filepath.Join(parent, host), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		writeFile(t, filepath.Join(parent, host, name), text, 0o600)
	}
}

func TestCertificateDirs(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	host, shown := ours.serve(t, tls.RequireAndVerifyClientCert, oneTag)
	certificate, key := ours.client(t)
	foreign, foreignKey := theirs.client(t)
	right := map[string]string{"ca.crt": ours.pem, "client.cert": certificate, "client.key": key, "README": "not read"}
	for _, tt := range []struct {
		name   string
		first  map[string]string // nil: there is no directory
		second map[string]string
		want   string
	}{
		{"authority and client certificate", right, nil, ""},
		{"in the second directory", nil, right, ""},
		{"the first directory decides", map[string]string{"ca.crt": ours.pem}, right, "unauthorized"},
		{"none", nil, nil, "unreachable"},
		{"another authority", map[string]string{"ca.crt": theirs.pem, "client.cert": certificate, "client.key": key}, nil, "unreachable"},
		{"no client certificate", map[string]string{"ca.crt": ours.pem}, nil, "unauthorized"},
		{"another's client certificate", map[string]string{"ca.crt": ours.pem, "client.cert": foreign, "client.key": foreignKey}, nil, "unauthorized"},
		{"several authorities", map[string]string{"a.crt": theirs.pem, "b.crt": ours.pem, "client.cert": certificate, "client.key": key}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dirs := []string{t.TempDir(), t.TempDir()}
			for i, files := range []map[string]string{tt.first, tt.second} {
				if files != nil {
					hostDir(t, dirs[i], host, files)
				}
			}
			*shown = nil
			options := Options{PlainHTTP: never, Attempts: 2, Backoff: time.Microsecond, CertificateDirs: dirs}
			_, err := open(t, host, options).Tags(t.Context())
			if kind(err) != tt.want || (tt.want == "") != (len(*shown) == 1) {
				t.Errorf("%v after %v; want %q", err, *shown, tt.want)
			}
		})
	}
}

func TestBrokenCertificateDirs(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.client(t)
	_, otherKey := a.client(t)
	for name, files := range map[string]map[string]string{
		"a certificate without its key": {"client.cert": certificate},
		"a key without its certificate": {"client.key": key},
		"another's key":                 {"client.cert": certificate, "client.key": otherKey},
		"no PEM":                        {"client.crt": "s3cr3t"},
		"a key that is none":            {"client.cert": certificate, "client.key": "s3cr3t"},
	} {
		dir := t.TempDir()
		hostDir(t, dir, "r.example.com:5000", files)
		client, err := New(Options{CertificateDirs: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Open(Reference{Registry: "r.example.com:5000", Repository: "team/image"})
		if kind(err) != "invalid" || !strings.Contains(err.Error(), filepath.Join(dir, "r.example.com")) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := client.Open(Reference{Registry: "r.example.com", Repository: "team/image"}); err != nil {
			t.Errorf("%s, and another host: %v", name, err)
		}
	}
}

// A certificate that is not trusted is not looked at again.
func TestUntrustedServersAreAskedOnce(t *testing.T) {
	var handshakes atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(oneTag))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		handshakes.Add(1)
		return nil, nil
	}}
	server.Config.ErrorLog = quietLog()
	server.StartTLS()
	t.Cleanup(server.Close)
	options := quick()
	options.PlainHTTP = never
	_, err := open(t, server.Listener.Addr().String(), options).Tags(t.Context())
	if kind(err) != "unreachable" || handshakes.Load() != 1 {
		t.Errorf("%v after %d handshakes", err, handshakes.Load())
	}
}

// A host's certificates are not shown to another, and its authorities vouch for
// no other.
func TestCertificatesStayWithTheirHost(t *testing.T) {
	a := newAuthority(t)
	elsewhere, shownElsewhere := a.serve(t, tls.RequestClientCert, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, "application/octet-stream", "blob")
	})
	host, shown := a.serve(t, tls.RequestClientCert, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+elsewhere+"/blob", http.StatusTemporaryRedirect)
	})
	certificate, key := a.client(t)
	dir := t.TempDir()
	hostDir(t, dir, host, map[string]string{"ca.crt": a.pem, "client.cert": certificate, "client.key": key})
	blob := describe("application/x", []byte("blob"))
	options := Options{PlainHTTP: never, Attempts: 1, CertificateDirs: []string{dir}}
	if _, err := open(t, host, options).Blob(t.Context(), blob); kind(err) != "unreachable" || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a host without an authority: %v", err)
	}
	hostDir(t, dir, elsewhere, map[string]string{"ca.crt": a.pem})
	if _, err := open(t, host, options).Blob(t.Context(), blob); err != nil {
		t.Errorf("with an authority of its own: %v", err)
	}
	if len(*shown) == 0 || len(*shownElsewhere) > 0 {
		t.Errorf("the certificate was shown to its host for %q, to another for %q", *shown, *shownElsewhere)
	}
}

// The name of a host is no path.
func TestHostsAreNoPaths(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "certs.d")
	hostDir(t, parent, "certs.d", nil)
	writeFile(t, filepath.Join(parent, "broken.crt"), "x", 0o600)
	for _, host := range []string{"..", ".", "", "../certs.d", `..\x`} {
		if found, files, err := certificateDir([]string{dir}, host); found != "" || len(files) > 0 || err != nil {
			t.Errorf("%q: %s, %v, %v", host, found, files, err)
		}
	}
}
