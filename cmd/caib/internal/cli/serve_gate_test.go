package cli

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
)

// servedCatalog starts a server over a catalog, and returns what a POST to it is
// answered.
func servedCatalog(t *testing.T, env map[string]string, args ...string) (*serving, func(path string) string) {
	t.Helper()
	s := startServer(t, func(name string) string { return env[name] }, args...)
	s.stop = sync.OnceValue(s.stop)
	t.Cleanup(func() { s.stop() })
	s.current(t)
	return s, func(path string) string {
		response, err := http.Post("http://"+s.address+path, "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text := make([]byte, 1<<16)
		n, _ := response.Body.Read(text)
		return string(text[:n])
	}
}

// A server over a directory opens the images in it, and those of no other
// directory; --allow-registry keeps out registries as well.
func TestServeOpensWhatItMay(t *testing.T) {
	env := homeEnv(t)
	host := startRegistry(t).host
	dir := t.TempDir()
	own, other := "oci:"+filepath.Join(dir, "catalog"), "oci:"+filepath.Join(dir, "other")
	for image, name := range map[string]string{own + ":own": "own", other + ":x": "other", host + "/os/far:1": "far"} {
		if _, err := pushSample("bootc", image, samples.Build{Distro: name, Architectures: []string{"arm64"}}); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := run(t, env, "catalog", "publish", image, "--name", name, "--catalog", own); code != 0 {
			t.Fatalf("publish %s: exit code %d\n%s", image, code, stderr)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "other", "secret-name"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		open map[string]bool
	}{
		{nil, map[string]bool{"own": true, "other": false, "far": true}},
		{[]string{"--allow-registry", host + "/os/*"}, map[string]bool{"own": true, "other": false, "far": true}},
		{[]string{"--allow-registry", "registry.example.com,quay.example.com/x"}, map[string]bool{"own": true, "other": false, "far": false}},
	} {
		s, post := servedCatalog(t, env, append([]string{"--catalog", own + "/"}, c.args...)...)
		for name, open := range c.open {
			got := post("/v1/catalog/images/" + name + "/verify?wait=true")
			if strings.Contains(got, `"triggered":true`) != open || strings.Contains(got, `"failure"`) == open || strings.Contains(got, "secret-name") {
				t.Errorf("%q: %s is verified as %s, want it opened: %t", c.args, name, got, open)
			}
		}
		s.stop()
		if strings.Contains(s.log.String(), "secret-name") {
			t.Errorf("%q: the log says:\n%s", c.args, s.log)
		}
	}
}

// A client is told which flag of the server keeps its image out.
func TestServeRefusesToPublishFromElsewhere(t *testing.T) {
	env := homeEnv(t)
	host := startRegistry(t).host
	image := host + "/os/far:1"
	if _, err := pushSample("bootc", image, samples.Build{Distro: "far", Architectures: []string{"arm64"}}); err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, fmt.Appendf(nil, "ci:%x\n", sha256.Sum256([]byte(serveToken))), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := servedCatalog(t, env, "--allow-publish", "--token-file", tokens, "--catalog", host+"/team/catalog", "--allow-registry", "registry.example.com")
	code, _, stderr := run(t, env, "catalog", "publish", image, "--server", "http://"+s.address, "--token", serveToken)
	if code != exitUnauthorized || !strings.Contains(stderr, "hint: the server opens this registry if it is started with") {
		t.Errorf("exit code %d, want %d and a hint that names the flag:\n%s", code, exitUnauthorized, stderr)
	}
}

// One address gets half of the connections; more are closed, and those that end
// make room.
func TestFairListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fair := newFairListener(listener, 2)
	defer fair.Close()
	accepted := make(chan net.Conn)
	go func() {
		for {
			connection, err := fair.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- connection
		}
	}()
	dial := func() net.Conn {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return connection
	}
	next := func() net.Conn {
		select {
		case connection := <-accepted:
			return connection
		case <-time.After(10 * time.Second):
			t.Fatal("a connection is not accepted within 10 s")
			return nil
		}
	}
	dial()
	first := next()
	dial()
	second := next()
	defer second.Close()
	refused := dial()
	_ = refused.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := refused.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Fatalf("the third connection: %v, want it closed", err)
	}
	first.Close()
	first.Close()
	dial()
	third := next()
	defer third.Close()
	if n := len(fair.connections); n != 1 {
		t.Errorf("%d addresses are remembered, want 1", n)
	}
}
