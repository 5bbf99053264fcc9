package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/schema/apitest"
)

const serveToken = "a-token-for-tests-0123456789"

var listening = regexp.MustCompile(`msg=listening address=(\S+)`)

// serving is a running `caib catalog serve`.
type serving struct {
	address   string
	interrupt func()
	stop      func() int // interrupts it and returns its exit code
	log       *strings.Builder
}

// startServer runs `caib catalog serve` in this process until it is stopped.
func startServer(t testwait.T, getenv func(string) string, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	go func() {
		args := append([]string{"catalog", "serve", "--listen", "127.0.0.1:0", "--refresh", "1s"}, args...)
		code <- Main(ctx, args, Streams{
			In: strings.NewReader(""), Out: io.Discard, Err: writer, Getenv: getenv, Now: time.Now, Author: "server@host",
		})
		writer.Close()
	}()
	s := &serving{interrupt: cancel, log: &strings.Builder{}}
	address, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		defer close(address)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			s.log.WriteString(scanner.Text() + "\n")
			if found := listening.FindStringSubmatch(scanner.Text()); found != nil {
				address <- found[1]
			}
		}
	}()
	s.stop = func() int {
		cancel()
		ended := testwait.Receive(t, "the server to end", code)
		testwait.Receive(t, "the end of the server's log", drained)
		return ended
	}
	s.address = testwait.Receive(t, "the server to listen", address)
	if s.address == "" {
		t.Fatalf("serve ends with %d: %s", s.stop(), s.log)
	}
	return s
}

// httpClient asks servers, and gives up at the limit of a wait.
var httpClient = &http.Client{Timeout: testwait.Limit}

// current waits until what is served is.
func (s *serving) current(t testwait.T) {
	t.Helper()
	testwait.Until(t, "the server to be current", func() bool {
		response, err := httpClient.Get("http://" + s.address + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(text), `"stale":false`)
	})
}

// inScript lets a script wait as a test does.
type inScript struct{ *testscript.TestScript }

func (inScript) Helper() {}

// cmdServe is `serve NAME [ARG...]`: a server over the catalog of the
// environment, at $NAME afterwards; it ends with the script. What passes is held
// against the description of the API.
func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	env := map[string]string{}
	getenv := func(name string) string {
		if name == "CAIB_SERVER" || name == "CAIB_TOKEN" {
			return ""
		}
		if value, ok := env[name]; ok {
			return value
		}
		return ""
	}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "CAIB_CATALOG"} {
		env[name] = ts.Getenv(name)
	}
	env["XDG_CACHE_HOME"] = ts.MkAbs("server-cache")
	sum := sha256.Sum256([]byte(serveToken))
	ts.Check(os.WriteFile(ts.MkAbs("tokens"), []byte("ci:"+hex.EncodeToString(sum[:])+"\n"), 0o600))
	for i := range args[1:] {
		args[1+i] = strings.ReplaceAll(args[1+i], "TOKENS", ts.MkAbs("tokens"))
	}
	s := startServer(inScript{ts}, getenv, args[1:]...)
	w := worldOf(ts)
	proxy := httptest.NewServer(apitest.Proxy(&url.URL{Scheme: "http", Host: s.address}, w.undescribed))
	ts.Defer(func() { proxy.Close(); s.stop() })
	ts.Setenv(args[0], proxy.URL)
	s.current(inScript{ts})
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// A server that is told to end finishes, listeners to events or not, and exits
// with 0.
func TestServeEndsGracefully(t *testing.T) {
	env := homeEnv(t)
	s := startServer(t, func(name string) string { return env[name] }, "--status-store")
	response, err := httpClient.Get("http://" + s.address + "/v1/catalog/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if code := s.stop(); code != 0 || strings.Contains(s.log.String(), "level=WARN") {
		t.Errorf("exit code %d; want 0, and a log without warnings, such as of requests that were cut off:\n%s", code, s.log)
	}
	if _, err := net.Dial("tcp", s.address); err == nil {
		t.Error("it still listens")
	}
}

// A request that is under way when the server is told to end is answered.
func TestServeFinishesRequests(t *testing.T) {
	host := startRegistry(t).host
	image := host + "/os/autosd:1"
	if _, err := pushSample("bootc", image, samples.Build{Distro: "autosd", Architectures: []string{"arm64"}}); err != nil {
		t.Fatal(err)
	}
	env := homeEnv(t)
	tokens := filepath.Join(t.TempDir(), "tokens")
	sum := sha256.Sum256([]byte(serveToken))
	if err := os.WriteFile(tokens, []byte("ci:"+hex.EncodeToString(sum[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(name string) string { return env[name] }, "--allow-publish", "--token-file", tokens, "--catalog", host+"/team/catalog", "--status-store")
	events, err := httpClient.Get("http://" + s.address + "/v1/catalog/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	connection, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(testwait.Limit))
	body := `{"image":"` + image + `"}`
	_, _ = fmt.Fprintf(connection, "POST /v1/catalog/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+serveToken+"\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	reader := bufio.NewReader(connection)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("%q %v: the server does not read the body", line, err)
	}
	s.interrupt()
	if _, err := io.Copy(io.Discard, events.Body); err != nil {
		t.Errorf("the events do not end in order: %v", err)
	}
	testwait.Until(t, "the server to listen no more", func() bool {
		probe, err := net.Dial("tcp", s.address)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	_, _ = io.WriteString(connection, body)
	answer, _ := io.ReadAll(reader)
	if !strings.Contains(string(answer), "HTTP/1.1 201 ") || !strings.Contains(string(answer), `"outcome":"published"`) {
		t.Errorf("answered %q", answer)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(s.log.String(), "panic") || strings.Contains(s.log.String(), "cut off") {
		t.Errorf("the log says:\n%s", s.log)
	}
}

func TestServeRefusesWhatDoesNotFit(t *testing.T) {
	env := homeEnv(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for args, want := range map[string]int{
		"--allow-publish": 2, "--token-file x": 2, "--allow-publish --token-file /nonexistent": 2, "--tls-cert x": 2, "--tls-cert x --tls-key y": 2,
		"--refresh 1ms": 2, "--verify-interval 1s": 2, "--max-connections 0": 2, "--log-format xml": 2, "x": 2, "--catalog nonsense": 2,
		"--listen " + taken.Addr().String(): 1, "--listen nonsense": 2, "--listen 127.0.0.1:99999": 2, "--listen :nonsense": 2, "--listen 127.0.0.1": 2,
		"--allow-registry https://x": 2, "--allow-registry=": 2, "--allow-registry a.example.com,": 2, "--allow-registry a.example.com --allow-registry oci:/srv": 2, "--max-listeners-per-address -1": 2,
		"--refresh 25h": 2, "--base-path catalog/": 2, "--read-token-file /nonexistent": 2, "--server http://127.0.0.1:1": 2,
	} {
		code, _, stderr := run(t, env, append([]string{"catalog", "serve", "--listen", "127.0.0.1:0"}, strings.Fields(args)...)...)
		if code != want || !strings.Contains(stderr, "error: ") || strings.Contains(stderr, "--ca-file") || strings.Contains(args, "allow-r") && !strings.Contains(stderr, "--allow-registry: ") {
			t.Errorf("%s: exit code %d, want %d\n%s", args, code, want, stderr)
		}
	}
}

// With a certificate it speaks TLS alone, HTTP/2 and HTTP/1.1.
func TestServeSpeaksTLS(t *testing.T) {
	env := homeEnv(t)
	dir, pair := t.TempDir(), makeCertificate(t)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, text := range map[string][]byte{cert: pair.cert, key: pair.key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startServer(t, func(name string) string { return env[name] }, "--tls-cert", cert, "--tls-key", key)
	defer s.stop()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pair.cert)
	for want, two := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: two}
		response, err := (&http.Client{Transport: transport, Timeout: testwait.Limit}).Get("https://" + s.address + "/openapi.json")
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		transport.CloseIdleConnections()
		if err != nil || response.StatusCode != 200 || response.Proto != want || len(text) < maxHeader {
			t.Errorf("%s: %s %s, %d bytes, %v", want, response.Proto, response.Status, len(text), err)
		}
	}
	if code, text := get(t, httpClient, "http://"+s.address+"/healthz"); code != 400 {
		t.Errorf("plain HTTP is answered %d %s", code, text)
	}
}

// The certificate is read again when it changes.
func TestServeReloadsItsCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func() *tls.Certificate {
		pair := makeCertificate(t)
		for path, text := range map[string][]byte{cert: pair.cert, key: pair.key} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		parsed, err := tls.X509KeyPair(pair.cert, pair.key)
		if err != nil {
			t.Fatal(err)
		}
		return &parsed
	}
	first := write()
	now := time.Now()
	var log strings.Builder
	keys, err := openKeyPair(cert, key, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	second := write()
	later := time.Now().Add(time.Minute)
	for _, path := range []string{cert, key} {
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	shown := func() string {
		pair, err := keys.certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(pair.Certificate[0])
	}
	if shown() != string(first.Certificate[0]) {
		t.Error("it is looked at for every connection")
	}
	now = now.Add(2 * time.Second)
	if shown() != string(second.Certificate[0]) {
		t.Error("the new certificate is not shown")
	}
	if err := os.WriteFile(key, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("the log says: %s", &log)
	}
	for range 3 {
		now = now.Add(2 * time.Second)
		if shown() != string(second.Certificate[0]) {
			t.Error("a broken file ends the last good certificate")
		}
	}
	if strings.Count(log.String(), "cannot be used") != 1 {
		t.Errorf("the log does not say once that the new one is broken: %s", &log)
	}
}

type pemPair struct{ cert, key []byte }

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// A client that does not finish its request is ended.
func TestServeEndsSlowClients(t *testing.T) {
	httpServer := newHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if httpServer.ReadTimeout == 0 || httpServer.WriteTimeout == 0 || httpServer.IdleTimeout == 0 {
		t.Errorf("a phase of a connection has no bound: %+v", httpServer)
	}
	httpServer.ReadHeaderTimeout /= 100
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = httpServer.Serve(listener) }()
	defer httpServer.Close()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	_ = connection.SetReadDeadline(time.Now().Add(testwait.Limit / 2)) // less than a request may take
	if _, err := io.Copy(io.Discard, connection); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is still connected")
	}
}

// Long headers and requests that are none are ended, and the server
// serves on.
func TestServeEndsBadClients(t *testing.T) {
	env := homeEnv(t)
	s := startServer(t, func(name string) string { return env[name] })
	defer s.stop()
	for what, text := range map[string]string{
		"a long header":  "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 32<<10) + "\r\n\r\n",
		"no request":     "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
		"a bad path":     "GET /v1/catalog/images/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"bad UTF-8":      "GET /v1/catalog/images/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"a smuggled one": "POST /v1/catalog/images HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
	} {
		connection, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = connection.SetDeadline(time.Now().Add(testwait.Limit))
		_, _ = io.WriteString(connection, text)
		answer, _ := io.ReadAll(io.LimitReader(connection, 64))
		connection.Close()
		if !regexp.MustCompile(`^HTTP/1\.[01] 4\d\d `).Match(answer) {
			t.Errorf("%s is answered %q", what, answer)
		}
	}
	if status, _ := get(t, httpClient, "http://"+s.address+"/healthz"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}
