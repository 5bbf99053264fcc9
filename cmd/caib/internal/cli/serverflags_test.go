package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opencontainers/go-digest"
)

// serverVerbs are the verbs that an index server can be asked by, with arguments that
// are enough for each.
var serverVerbs = map[string][]string{
	"list": nil, "get": {"a"}, "history": nil, "verify": {"a"}, "watch": {"--once", "--all"},
	"publish": {"r.example.com/os/a:1"}, "add": {"a", "r.example.com/os/a:1"}, "edit": {"a", "--description", "before"}, "remove": {"a", "--force"},
}

// notOfTheServer are flags whose effect cannot be seen in what a server is asked and
// what is printed, each with why it is honoured through a server all the same.
var notOfTheServer = map[string]string{
	"help": "it prints help", "server": "it names the server", "profile": "it chooses settings", "timeout": "it bounds the command",
	"no-color": "there are no colours but on a terminal", "quiet": "there is nothing to leave out here",
	"insecure": "it is of TLS", "ca-file": "it is of TLS", "plain-http": "it lets the token be sent",
	"resume": "it leaves out what a run before has found", "force": "it is given", "author": "it is refused by its own message",
	"no-ci-metadata": "there is no pipeline here",
	"once":           "it is given", "interval": "there is one look", "retries": "nothing fails", "state": "a file has it",
}

// serverFlagValues are values for flags that do not take any text.
func serverFlagValues(t *testing.T) map[string]string {
	directory := t.TempDir()
	build := filepath.Join(directory, "build.yaml")
	text := "apiVersion: automotive.sdv.cloud.redhat.com/v1alpha1\nkind: ImageBuild\nmetadata: {name: nightly}\n" +
		"spec:\n  architecture: amd64\n  aib: {distro: autosd, target: qemu, mode: bootc}\n  export: {container: r.example.com/os/third:1}\nstatus: {phase: Completed}\n"
	policy := filepath.Join(directory, "policy.yaml")
	if err := os.WriteFile(build, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(policy, []byte("version: 1\nrules:\n  - mode: warn\n    certificate: {identity: a, issuer: https://issuer.example.com}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"as-of": "2026-01-01", "since": "2026-01-01", "label": "team=os", "limit": "1", "phase": "Failed", "tags": "nightly", "output": "name",
		"require": "image", "digest": digest.FromString("x").String(), "if-revision": digest.FromString("x").String(), "signature-format": "legacy",
		"catalog": "r.example.com/c", "token": "a-token-for-tests-0123456789", "target-note": "rpi4=text", "architecture": "arm64", "wait": "1m",
		"file": build, "policy": policy, "exec": "cat >&2", "build-mode": "image", "sort": "name", "name": "b", "timeout": "20s", "ca-file": build,
	}
}

// answers is a server that answers whatever is asked, and remembers what that was.
type answers struct {
	mu    sync.Mutex
	asked []string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.asked = append(a.asked, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("If-Match"), string(body)}, " "))
	a.mu.Unlock()
	item := `"name":"a","registryUrl":"r.example.com/os/a:1","digest":"` + digest.FromString("a").String() + `","phase":"Available","verdict":"verified","revision":"` + digest.FromString("r").String() + `","targets":[{"name":"rpi4"}],"publishedAt":"2026-03-01T12:00:00.000Z","createdAt":"2026-03-01T12:00:00.000Z"`
	event := `"name":"a","operation":"publish","at":"2026-03-01T12:00:00.000Z","revision":"` + digest.FromString("r").String() + `"`
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/catalog"); {
	case r.Method == http.MethodGet && path == "/images":
		fmt.Fprintf(w, `{"items":[{%s}],"total":1,"refused":1,"absent":["r.example.com/c"]}`, item)
	case strings.HasSuffix(path, "history"):
		fmt.Fprintf(w, `{"items":[{%s}],"total":1}`, event)
	case path == "/changes":
		fmt.Fprintf(w, `{"items":[{%s,"tag":"a.000000001.p%s"}],"state":"s"}`, event, digest.FromString("r").Encoded()[:16])
	case path == "/readyz":
		fmt.Fprint(w, `{"catalogs":[{"catalog":"r.example.com/c"}]}`)
	case strings.HasSuffix(path, "/verify"):
		fmt.Fprint(w, `{"message":"done","triggered":true,"verdict":"unsigned","verification":{"name":"a","verdict":"unsigned","checks":[{"what":"revision","result":"ok"}]}}`)
	case r.Method == http.MethodGet:
		fmt.Fprintf(w, `{%s}`, strings.Replace(item, "verified", "unsigned", 1))
	case r.Method == http.MethodDelete:
		fmt.Fprintf(w, `{%s}`, event)
	default:
		fmt.Fprintf(w, `{%s,"outcome":"published","attachment":{"outcome":"skipped"},"snapshot":false}`, item)
	}
}

// Each flag of the verbs that a server can be asked by is honoured through it: the
// server is asked for something else, or something else is printed; or it is refused
// with exit 2, a message that names it, and a hint. None is ignored without a word.
func TestEveryFlagThroughAServer(t *testing.T) {
	server := &answers{}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	values := serverFlagValues(t)
	do := func(t *testing.T, verb string, args ...string) (code int, did, stderr string) {
		t.Helper()
		server.asked = nil
		words := serverVerbs[verb]
		if len(args) > 0 && (strings.HasPrefix(args[0], "--file=") || args[0] == "--all") {
			words = nil // in place of a name
		}
		code, stdout, stderr := run(t, homeEnv(t), slices.Concat([]string{"catalog", verb, "--server", listener.URL}, words, args)...)
		return code, fmt.Sprintf("%d\n%s\n%s\n%s", code, strings.Join(server.asked, "\n"), stdout, stderr), stderr
	}
	walk(tree(), func(command *cobra.Command) {
		verb := command.Name()
		if _, ok := serverVerbs[verb]; !ok || command.Parent().Name() != "catalog" {
			return
		}
		code, without, stderr := do(t, verb)
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", verb, code, stderr)
		}
		visit := func(flag *pflag.Flag) {
			if notOfTheServer[flag.Name] != "" || (verb == "list" || verb == "watch") && flag.Name == "all" || flag.Name == "token" && slices.Contains([]string{"list", "get", "history", "watch"}, verb) { // which lists do anyhow, and is given
				return
			}
			t.Run(verb+" "+flag.Name, func(t *testing.T) {
				text, ok := values[flag.Name]
				if !ok {
					text = "text"
				}
				if verb == "edit" && flag.Name == "tags" {
					text = "+" + text
				}
				args := []string{"--" + flag.Name + "=" + text}
				if flag.NoOptDefVal != "" {
					args = []string{"--" + flag.Name}
				}
				code, with, stderr := do(t, verb, args...)
				switch {
				case with == without:
					t.Errorf("it is ignored:\n%s", with)
				case code == 2 && !strings.Contains(stderr, flag.Name) && !strings.Contains(stderr, "sign"):
					t.Errorf("the message does not say why:\n%s", stderr)
				}
			})
		}
		command.Flags().VisitAll(visit)
		command.InheritedFlags().VisitAll(visit)
	})
}
