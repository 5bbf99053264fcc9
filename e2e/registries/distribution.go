package registries

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage driver in use
	"github.com/sirupsen/logrus"
)

// Distribution3 starts CNCF distribution 3.1 on the file system. It has no
// Referrers API.
func Distribution3(t testing.TB, del bool) Server {
	t.Helper()
	name := "distribution-3.1"
	if !del {
		name += "-nodelete"
	}
	return serve(t, Server{Name: name, Delete: del}, Distribution3Handler(t.TempDir(), del))
}

// Distribution3Handler is CNCF distribution 3.1 as a handler, for programs that
// serve it themselves. It keeps what it is given below dir.
func Distribution3Handler(dir string, del bool) http.Handler {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": dir},
			"delete":      configuration.Parameters{"enabled": del},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.Log.Level = "error"
	config.Log.AccessLog.Disabled = true
	config.HTTP.Secret = "end-to-end tests"
	return handlers.NewApp(context.Background(), config)
}

// Distribution2 starts CNCF distribution 2.8, Debian's docker-registry, as a
// process of its own. It has no Referrers API.
func Distribution2(t testing.TB) Server {
	t.Helper()
	const program = "docker-registry"
	need(t, program, "docker-registry")
	host := freePort(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "serve", config)
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, bufio.NewReader(stderr))
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-drained
		_ = command.Wait()
	})
	await(t, host)
	return Server{Name: "distribution-2.8", Host: host, Delete: true}
}

func found(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// freePort returns an address of the loopback interface that nobody listens
// on.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// await returns once a registry answers at host.
func await(t testing.TB, host string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the registry at %s does not answer", host)
		}
	}
}
