package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oci-catalog/caib/internal/testwait"
)

// The scripts below testdata/script run caib in this process, so that a clock,
// a terminal and an interruption are at hand; `exec caib-process` is one of its
// own. Commands beside those of testscript:
//
//	caib ARG...              run it; the exit code must be 0
//	exits CODE caib ARG...   run it; the exit code must be CODE
//	clock TIME               set the clock, which stands still
//	locate REPOSITORY PREFIX PLACE  write where the images below a prefix can be had as well
//	terminal [in] [out] [err]  the streams that are terminals from now on
//	serve NAME [ARG...]      run a server over the catalog of the environment; $NAME is its URL
//	answer TEXT...           the lines on the standard input of the next run
//	interrupt NAME           the next request to registry NAME interrupts its run
//	envfile FROM TO          copy a file, with $VARIABLES replaced
//	uncoloured stdout|stderr FILE  they are the same but for colours, and coloured
//	unsteered                nothing that was printed steers a terminal
//
// and those of disk_test.go, registries_test.go, trust_test.go, sigstore_test.go and
// topics_test.go. After a run, the files out and err hold what
// it printed, with digests, sizes, times in tags, hosts and directories
// replaced by words, for a comparison that does not depend on them.
func TestScripts(t *testing.T) { testscript.Run(t, scripts()) }

// scripts is how scripts run.
func scripts() testscript.Params {
	return testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"caib":       cmdCaib,
			"exits":      cmdExits,
			"clock":      cmdClock,
			"terminal":   cmdTerminal,
			"answer":     cmdAnswer,
			"interrupt":  cmdInterrupt,
			"registry":   cmdRegistry,
			"stub":       cmdStub,
			"push":       cmdPush,
			"attach":     cmdAttach,
			"tags":       cmdTags,
			"writes":     cmdWrites,
			"refuse":     cmdRefuse,
			"login":      cmdLogin,
			"envfile":    cmdEnvFile,
			"uncoloured": cmdUncoloured,
			"unsteered":  cmdUnsteered,
			"arrived":    cmdArrived,
			"serve":      cmdServe,
			"keypair":    cmdKeypair,
			"sigstore":   cmdSigstore,
			"asked":      cmdAsked,
			"somekeys":   cmdSomeKeys,
			"envkey":     cmdEnvKey,
			"keyserver":  cmdKeyServer,
			"untag":      cmdUntag,
			"damage":     cmdDamage,
			"shown":      cmdShown,
			"block":      cmdBlock,
			"disk":       cmdDisk,
			"noise":      cmdNoise,
			"begins":     cmdBegins,
			"loop":       cmdLoop,
			"memory":     cmdMemory,
			"hole":       cmdHole,
			"bmap":       cmdBmap,
			"locate":     cmdLocate,
		},
		Condition:           holds,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
	}
}

// parallel runs more scripts at once than there are processors: they wait for
// time-outs more than they compute.
type parallel struct{ *testing.M }

func (p parallel) Run() int {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	return p.M.Run()
}

func TestMain(m *testing.M) {
	testscript.Main(parallel{m}, map[string]func(){"caib-process": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := Main(ctx, os.Args[1:], System())
		stop()
		os.Exit(code)
	}, "sigstore-kms-test": kmsPlugin})
}

var update = flag.Bool("update", false, "write what caib prints into the scripts")

// world is what the commands of one script share.
type world struct {
	clock        time.Time
	in, out, err bool // terminals
	width        int  // of the output terminal
	answer       string
	registries   map[string]*fake
	interrupted  *fake
	sigstore     *sigstore

	mu      sync.Mutex
	strange []error // exchanges with a server that its API does not describe
}

// undescribed notes what passed between caib and a server, and should not have.
func (w *world) undescribed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strange = append(w.strange, err)
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func setup(env *testscript.Env) error {
	env.Values[worldKey{}] = &world{
		clock:      testTime,
		registries: map[string]*fake{},
	}
	home := filepath.Join(env.WorkDir, "home")
	for _, variable := range []string{"HOME", "USERPROFILE", "LocalAppData"} {
		env.Setenv(variable, home)
	}
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	env.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	env.Setenv("TUF_MIRROR", "http://127.0.0.1:1") // where nobody is
	return os.MkdirAll(home, 0o777)
}

func cmdCaib(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("want `exits CODE caib`")
	}
	runCaib(ts, 0, args)
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "caib" {
		ts.Fatalf("usage: exits CODE caib ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	runCaib(ts, want, args[2:])
	if verb := unlisted(args[2:], want); verb != "" {
		ts.Fatalf("%s ended with %d, and its help does not list that", verb, want)
	}
}

// unlisted names the verb that was run if its help does not list an exit code.
func unlisted(args []string, code int) string {
	command, _, _ := Command().Find(args)
	listed := regexp.MustCompile(fmt.Sprintf(`(?m)^  %d +\S`, code))
	if !strings.Contains(command.Long, "Exit status:") || listed.MatchString(command.Long) {
		return ""
	}
	return command.CommandPath()
}

func runCaib(ts *testscript.TestScript, want int, args []string) {
	w := worldOf(ts)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if w.interrupted != nil {
		w.interrupted.onRequest(cancel)
		w.interrupted = nil
	}
	var out, errs bytes.Buffer
	code := 0
	testwait.Return(inScript{ts}, "caib to end", func() {
		code = Main(ctx, append([]string{}, args...), Streams{
			In: strings.NewReader(w.answer), Out: io.MultiWriter(ts.Stdout(), &out), Err: io.MultiWriter(ts.Stderr(), &errs),
			Getenv: ts.Getenv, Now: func() time.Time { return w.clock },
			InTerminal: w.in, OutTerminal: w.out, ErrTerminal: w.err, OutWidth: w.width, Author: "alice@build", recheck: time.Millisecond,
		})
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.strange) > 0 {
		ts.Fatalf("the API does not describe %v", w.strange[0])
	}
	w.answer = ""
	w.record(ts, "out", out.String())
	w.record(ts, "err", errs.String())
	if code != want {
		ts.Fatalf("caib %q: exit code %d, want %d", args, code, want)
	}
}

func cmdClock(ts *testscript.TestScript, _ bool, args []string) {
	at, err := time.Parse(time.RFC3339Nano, one(ts, args))
	ts.Check(err)
	worldOf(ts).clock = at
}

func cmdTerminal(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	w.in, w.out, w.err, w.width = false, false, false, 0
	for _, arg := range args {
		if width, ok := strings.CutPrefix(arg, "width="); ok {
			var err error
			w.width, err = strconv.Atoi(width)
			ts.Check(err)
			continue
		}
		switch arg {
		case "in":
			w.in = true
		case "out":
			w.out = true
		case "err":
			w.err = true
		default:
			ts.Fatalf("terminal: unknown stream %q", arg)
		}
	}
}

func cmdAnswer(ts *testscript.TestScript, _ bool, args []string) {
	worldOf(ts).answer = strings.Join(args, "\n") + "\n"
}

func cmdInterrupt(ts *testscript.TestScript, _ bool, args []string) {
	worldOf(ts).interrupted = fakeOf(ts, one(ts, args))
}

var shapes = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`\.[0-9a-z]{9}\.([prs])[0-9a-f]{16}`), ".TIME.${1}HASH"},
	{regexp.MustCompile(`\bcaib\.[0-9a-f]{32}\.[0-9a-f]{8}\b`), "caib.KEEP"},
	{regexp.MustCompile(`SHA256:[0-9a-f]{16}`), "SHA256:KEY"},
	{regexp.MustCompile(`("?(?:sizeBytes|decompressedSize)"?: )\d+`), "${1}BYTES"},
	{regexp.MustCompile(`\b\d+(?:\.\d)? (?:B|KiB)\b`), "SIZE"},
	{regexp.MustCompile(`(\S)  +`), "$1   "},
}

// record writes the shape of what was printed to a file.
func (w *world) record(ts *testscript.TestScript, file, text string) {
	for name, registry := range w.registries {
		text = strings.ReplaceAll(text, registry.host, "$"+name)
	}
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	for _, shape := range shapes {
		text = shape.pattern.ReplaceAllString(text, shape.word)
	}
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), file), []byte(text), 0o666))
}

func cmdEnvFile(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: envfile FROM TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}

var colour = regexp.MustCompile("\x1b\\[[0-9]*m")

func cmdUncoloured(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: uncoloured stdout|stderr FILE")
	}
	got, want := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	plain := colour.ReplaceAllString(got, "")
	if plain != want || plain == got {
		ts.Fatalf("%s is %q, want the same as %q, with colours", args[0], got, want)
	}
}

func cmdUnsteered(ts *testscript.TestScript, _ bool, _ []string) {
	for _, stream := range []string{"stdout", "stderr"} {
		if text := ts.ReadFile(stream); steering(text) {
			ts.Fatalf("%s steers a terminal: %q", stream, text)
		}
	}
}

// steering is what no output may be. It is written apart from the guard in
// streams.go, and stricter: invalid UTF-8 is refused too.
func steering(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		control := r != '\n' && r != '\t' && unicode.Is(unicode.Cc, r)
		return control || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) || strings.ContainsRune("\u200b\u200c\u200d\ufeff", r)
	})
}

func one(ts *testscript.TestScript, args []string) string {
	if len(args) != 1 {
		ts.Fatalf("want one argument, got %q", args)
	}
	return args[0]
}

// testTime is what the clock of every run from a Go test says.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// run is a run of caib from a Go test, with nothing in its environment but env.
func run(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	testwait.Return(t, "caib to end", func() {
		code = Main(t.Context(), append([]string{}, args...), Streams{
			In: strings.NewReader(""), Out: &out, Err: &err, Author: "alice@build", recheck: time.Millisecond,
			Getenv: func(name string) string { return env[name] },
			Now:    func() time.Time { return testTime },
		})
	})
	if verb := unlisted(args, code); verb != "" {
		t.Errorf("%s ended with %d, and its help does not list that", verb, code)
	}
	return code, out.String(), err.String()
}

// homeEnv is an environment with directories of the test's own.
func homeEnv(t *testing.T) map[string]string {
	home := t.TempDir()
	return map[string]string{
		"HOME": home, "LocalAppData": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"),
		"XDG_CACHE_HOME": filepath.Join(home, "cache"), "XDG_STATE_HOME": filepath.Join(home, "state"), "XDG_DATA_HOME": filepath.Join(home, "data"),
	}
}

func quoted(text string) string { return fmt.Sprintf("%.2000q", text) }
