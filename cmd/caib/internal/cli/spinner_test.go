package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
)

// printed is what a command that runs has printed.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// spunTerminal is a terminal: it says when something was written that a person waits for.
type spunTerminal struct {
	printed
	seen chan struct{}
	once sync.Once
}

func (w *spunTerminal) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("\r")) {
		defer w.once.Do(func() { close(w.seen) })
	}
	return w.printed.Write(p)
}

// waitingFor runs caib with a registry that answers once it sees a spinner, or at once.
func waitingFor(t *testing.T, wait bool, change func(*Streams), args ...string) (stdout, stderr string) {
	t.Helper()
	screen, out := &spunTerminal{seen: make(chan struct{})}, &bytes.Buffer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait {
			testwait.Receive(t, "a spinner", screen.seen)
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(`{"name":"team/catalog","tags":[]}`)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	env := homeEnv(t)
	env["CAIB_CATALOG"] = strings.TrimPrefix(server.URL, "http://") + "/team/catalog"
	streams := Streams{
		In: strings.NewReader(""), Out: out, Err: screen, Getenv: func(name string) string { return env[name] },
		Now: time.Now, ErrTerminal: true, spinAfter: time.Millisecond,
	}
	change(&streams)
	if code := Main(t.Context(), args, streams); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, screen)
	}
	return out.String(), screen.String()
}

func TestSpinner(t *testing.T) {
	t.Parallel()
	stdout, stderr := waitingFor(t, true, func(*Streams) {}, "catalog", "list", "-o", "json")
	if !strings.HasPrefix(stdout, "{") {
		t.Errorf("stdout begins with %q", stdout)
	}
	shown := regexp.MustCompile(`\r\x1b\[K[|/\\-] \d+s`)
	if !shown.MatchString(stderr) {
		t.Errorf("no spinner: %q", stderr)
	}
	last := stderr[strings.LastIndex(stderr, "\r"):]
	if !strings.HasPrefix(last, "\r\x1b[Kthe catalog ") {
		t.Errorf("the spinner is not taken away before what is said: %q", stderr)
	}
}

// There is none where nobody sees it, or nobody wants it, and in what is fast.
func TestNoSpinner(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		streams func(*Streams)
		flag    string
	}{
		"no terminal": {func(s *Streams) { s.ErrTerminal = false }, "--no-color"},
		"quiet":       {func(*Streams) {}, "--quiet"},
		"verbose":     {func(*Streams) {}, "--verbose"},
		"fast":        {func(s *Streams) { s.spinAfter = time.Hour }, "--no-color"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, stderr := waitingFor(t, false, change.streams, "catalog", "list", change.flag); strings.Contains(stderr, "\r") {
				t.Errorf("a spinner: %q", stderr)
			}
		})
	}
}
