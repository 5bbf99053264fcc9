package registries

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // a login in use
	_ "github.com/distribution/distribution/v3/registry/auth/token"    // and another
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testwait"
)

// Distribution3 starts CNCF distribution 3.1 on the file system. It has no
// Referrers API.
func Distribution3(t testing.TB, del bool) Server {
	t.Helper()
	name := "distribution-3.1"
	if !del {
		name += "-nodelete"
	}
	dir := t.TempDir()
	return serve(t, Server{Name: name, Delete: del, Collect: collect3(dir)}, Distribution3Handler(dir, del))
}

// collect3 is `registry garbage-collect -m` of CNCF distribution 3.1, below dir.
func collect3(dir string) func(t testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		driver, err := filesystem.FromParameters(map[string]any{"rootdirectory": dir})
		if err != nil {
			t.Fatal(err)
		}
		registry, err := storage.NewRegistry(t.Context(), driver)
		if err == nil {
			err = storage.MarkAndSweep(t.Context(), driver, registry, storage.GCOpts{RemoveUntagged: true, Quiet: true})
		}
		if err != nil {
			t.Fatalf("garbage-collect: %v", err)
		}
	}
}

// Distribution3Handler is CNCF distribution 3.1 as a handler, for programs that
// serve it themselves. It stores what it is given below dir.
func Distribution3Handler(dir string, del bool) http.Handler {
	return distribution3(dir, del, nil)
}

// Distribution3Locked is CNCF distribution 3.1 behind a login: htpasswd or
// token, with the options of its configuration file.
func Distribution3Locked(t testing.TB, login string, options configuration.Parameters) http.Handler {
	t.Helper()
	return distribution3(t.TempDir(), true, configuration.Auth{login: options})
}

// Distribution3With is CNCF distribution 3.1 with changes to its configuration.
func Distribution3With(dir string, change func(*configuration.Configuration)) http.Handler {
	return distribution3With(dir, true, nil, change)
}

func distribution3(dir string, del bool, login configuration.Auth) http.Handler {
	return distribution3With(dir, del, login, func(*configuration.Configuration) {})
}

func distribution3With(dir string, del bool, login configuration.Auth, change func(*configuration.Configuration)) http.Handler {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{
		Auth: login,
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": dir},
			"delete":      configuration.Parameters{"enabled": del},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.Log.Level = "error"
	config.Log.AccessLog.Disabled = true
	config.HTTP.Secret = "end-to-end tests"
	change(config)
	return handlers.NewApp(context.Background(), config)
}

// Distribution2 starts CNCF distribution 2.8, Debian's docker-registry, as a
// process of its own. It has no Referrers API.
func Distribution2(t testing.TB) Server {
	t.Helper()
	program := tools.Debian(t, "docker-registry", "docker-registry")
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: \"127.0.0.1:0\"}\n", filepath.Join(dir, "data"))
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
	address, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		readAddress(stderr, address)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-drained
		_ = command.Wait()
	})
	host := testwait.Receive(t, program+" to listen", address)
	if host == "" {
		t.Fatalf("%s ended before it listened", program)
	}
	collect := func(t testing.TB) {
		t.Helper()
		if result := tools.Run(t, nil, program, "garbage-collect", "-m", config); result.Code != 0 {
			t.Fatalf("garbage-collect: %s", result.Stderr)
		}
	}
	return Server{Name: "distribution-2.8", Host: host, Delete: true, Collect: collect}
}

// readAddress sends the address that a registry says in its log it listens
// on, and reads the log to its end. The channel is closed if it never says.
func readAddress(log io.Reader, address chan<- string) {
	defer close(address)
	said := regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)
	scanner := bufio.NewScanner(log)
	for scanner.Scan() {
		if found := said.FindStringSubmatch(scanner.Text()); found != nil {
			address <- found[1]
			break
		}
	}
	_, _ = io.Copy(io.Discard, log)
}
