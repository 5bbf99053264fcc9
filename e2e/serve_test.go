package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema/apitest"
)

// serve starts `caib catalog serve` and waits until it is current; end stops it
// and returns its exit code.
func (w *world) serve(args ...string) (url string, end func() int) {
	w.t.Helper()
	command := exec.Command(w.caib, append([]string{"catalog", "serve", "--listen", "127.0.0.1:0", "--refresh", "1s"}, args...)...)
	command.Env = tools.Env(w.t, w.env)
	log, err := command.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	said, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		defer close(said)
		for scanner := bufio.NewScanner(log); scanner.Scan(); {
			if found := regexp.MustCompile(`msg=listening address=(\S+)`).FindStringSubmatch(scanner.Text()); found != nil {
				said <- "http://" + found[1]
			}
		}
	}()
	ended := false
	end = func() int {
		if !ended {
			ended = true
			_ = command.Process.Signal(syscall.SIGTERM)
			tooLong := time.AfterFunc(testwait.Limit, func() {
				w.t.Errorf("the server has not ended %s after it was told to: it is killed", testwait.Limit)
				_ = command.Process.Kill()
			})
			defer tooLong.Stop()
			<-drained
			_ = command.Wait()
		}
		return command.ProcessState.ExitCode()
	}
	w.t.Cleanup(func() { end() })
	if url = testwait.Receive(w.t, "the server to listen", said); url == "" {
		w.t.Fatal("the server ended before it listened")
	}
	w.eventually("current", func() bool {
		var ready struct{ Ready, Stale bool }
		_ = json.Unmarshal(fetch(w.t, url+"/readyz"), &ready)
		return ready.Ready && !ready.Stale
	})
	return url, end
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	testwait.Until(w.t, what, holds)
}

// client asks servers, and gives up at the limit of a wait.
var client = &http.Client{Timeout: testwait.Limit}

// described puts a proxy before a server that checks what passes against the
// description of the API.
func described(t testing.TB, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(apitest.Proxy(target, func(err error) { t.Error(err) }))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func fetch(t testing.TB, url string) []byte {
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
	return text
}

// A server over every registry: the same list, changes within a refresh, and
// phases that stay when it ends.
func TestServer(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.ok("catalog", "publish", w.push("autosd", "1"), "--version", "1")
		w.ok("catalog", "publish", w.push("other", "1"))
		url, end := w.serve("--status-store")
		url = described(t, url)
		through := func() []entry.Item { return w.list("--server", url) }
		if diff := diffNames([]string{"autosd", "other"}, through()); diff != "" {
			t.Errorf("list --server (-want +got):\n%s", diff)
		}
		direct := w.ok("catalog", "list", "-o", "json").Stdout
		if diff := cmp.Diff(w.ok("catalog", "list", "-o", "name").Stdout, w.ok("catalog", "list", "-o", "name", "--server", url).Stdout); diff != "" {
			t.Errorf("list, and list --server (-list +server):\n%s\n%s", diff, direct)
		}
		w.ok("catalog", "publish", w.push("third", "1"))
		w.eventually("shown", func() bool { return len(through()) == 3 })
		code, says := 0, "in order"
		if w.on.name == "layout" { // of directories, a server opens its catalog's own
			code, says = 2, "not allowed"
		}
		if result := w.exits(code, "catalog", "verify", "autosd", "--server", url); !strings.Contains(result.Stdout+result.Stderr, says) {
			t.Errorf("verify says %s%s, want %q", result.Stdout, result.Stderr, says)
		}
		for range 3 {
			fetch(t, url+"/v1/catalog/images/autosd")
		}
		for _, route := range api.Routes() {
			path, reads := strings.CutPrefix(route, "GET ")
			if !reads || strings.HasSuffix(path, "/events") {
				continue
			}
			response, err := client.Get(url + strings.ReplaceAll(path, "{name}", "autosd"))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", route, response.StatusCode)
			}
		}
		if code := end(); code != 0 {
			t.Errorf("it ends with %d", code)
		}
		if tags := strings.Join(w.tags(w.on.catalog), " "); !strings.Contains(tags, "_status.") {
			t.Errorf("no status is recorded: %s", tags)
		}
		for _, item := range w.list() {
			if item.Phase != entry.PhaseAvailable || (item.Name == "autosd" && item.AccessCount < 3) {
				t.Errorf("%s: %s, %d accesses", item.Name, item.Phase, item.AccessCount)
			}
		}
	})
}
