package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testwait"
)

func TestMain(m *testing.M) {
	code := m.Run()
	tools.Clean()
	os.Exit(code)
}

// demo is what the demo serves, until the test ends.
type demo struct {
	url     string
	catalog string
	env     []string
	browser context.Context
}

func startDemo(t *testing.T, env ...string) *demo {
	t.Helper()
	d := &demo{}
	command := exec.Command(tools.Demo(t), "-caib", tools.Caib(t), "-serve", "127.0.0.1:0")
	command.Env = tools.Env(t, env)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	said, drained := make(chan [2]string, 1), make(chan struct{})
	var printed strings.Builder
	go func() {
		defer close(drained)
		defer close(said)
		found := [2]string{}
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			printed.WriteString(scanner.Text() + "\n")
			if m := regexp.MustCompile(`export CAIB_CATALOG=(\S+)`).FindStringSubmatch(scanner.Text()); m != nil {
				found[0] = m[1]
			}
			if m := regexp.MustCompile(`msg=listening address=(\S+)`).FindStringSubmatch(scanner.Text()); m != nil {
				found[1] = "http://" + m[1]
				said <- found
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGINT)
		tooLong := time.AfterFunc(testwait.Limit, func() {
			t.Errorf("the demo has not ended %s after it was interrupted: it is killed", testwait.Limit)
			_ = command.Process.Kill()
		})
		defer tooLong.Stop()
		<-drained
		if err := command.Wait(); err != nil {
			t.Errorf("the demo: %v\n%s", err, printed.String())
		}
	})
	found := testwait.Receive(t, "the demo to serve", said)
	if d.catalog, d.url = found[0], found[1]; d.url == "" {
		t.Fatal("the demo ended before it served")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(tools.Debian(t, "chromium", "chromium")), chromedp.NoSandbox, chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(testwait.Limit))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	d.browser, cancel = chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Run(d.browser); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	d.env = []string{"HOME=" + t.TempDir(), "CAIB_CATALOG=" + d.catalog}
	return d
}

// caib runs a command on the catalog of the demo.
func (d *demo) caib(t *testing.T, args ...string) {
	t.Helper()
	if r := tools.Run(t, d.env, tools.Caib(t), append([]string{"catalog"}, args...)...); r.Code != 0 {
		t.Fatalf("caib catalog %v: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
}

// tab is a page of the browser. It notes what should not be: errors on the console, and
// requests to others than the server.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu     sync.Mutex
	wrong  []string
	asked  int
	expect func(text string) bool // reports that an error on the console is meant
}

// open opens a tab of the browser.
func (d *demo) open(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(d.browser)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, url: d.url, expect: func(string) bool { return false }}
	chromedp.ListenTarget(ctx, p.note)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, wrong := range p.wrong {
			t.Error(wrong)
		}
		if p.asked == 0 {
			t.Error("no request of the browser was seen")
		}
	})
	p.do("start", network.Enable(), log.Enable(), runtime.Enable())
	return p
}

func (p *tab) note(event any) {
	wrong := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.mu.Lock()
		p.asked++
		p.mu.Unlock()
		if !strings.HasPrefix(e.Request.URL, p.url+"/") {
			wrong = "a request elsewhere: " + e.Request.URL
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			text, _ := json.Marshal(e.Args)
			wrong = "on the console: " + string(text)
		}
	case *runtime.EventExceptionThrown:
		wrong = "an exception: " + e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			wrong = "in the log: " + e.Entry.Text + " " + e.Entry.URL
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if wrong != "" && !p.expect(wrong) {
		p.wrong = append(p.wrong, wrong)
	}
}

// do runs actions, which must come to an end.
func (p *tab) do(what string, actions ...chromedp.Action) {
	p.t.Helper()
	if err := p.try(what, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// try is do for actions that may fail.
func (p *tab) try(what string, actions ...chromedp.Action) error {
	p.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- chromedp.Run(p.ctx, actions...) }()
	return testwait.Receive(p.t, what, ended)
}

func (p *tab) visit(path string) {
	p.t.Helper()
	p.do("visit "+path, chromedp.Navigate(p.url+path), chromedp.WaitReady("#main"))
}

// value is what an expression says in the page.
func value[V any](p *tab, expression string) (v V) {
	p.t.Helper()
	p.do(expression, chromedp.Evaluate(expression, &v))
	return v
}

// until waits for an expression to hold in the page. One that fails does not hold: the
// page may be on its way to another one.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: %s", value[string](p, "location.href"), value[string](p, "document.body.innerText"))
		}
	}()
	testwait.Until(p.t, what, func() (holds bool) {
		return p.try(expression, chromedp.Evaluate(expression, &holds)) == nil && holds
	})
}

// rows are the names of the entries that are listed.
func (p *tab) rows() []string {
	return value[[]string](p, `[...document.querySelectorAll(".row h3 a")].map(a => a.textContent)`)
}

// wants waits for the list of some entries.
func (p *tab) wants(what string, names ...string) {
	p.t.Helper()
	text, _ := json.Marshal(names)
	p.until(what, fmt.Sprintf(`JSON.stringify([...document.querySelectorAll(".row h3 a")].map(a => a.textContent).sort()) === %q`, text))
}

// query is that of the address which the browser shows.
func (p *tab) query() url.Values {
	address, err := url.Parse(value[string](p, "location.href"))
	if err != nil {
		p.t.Fatal(err)
	}
	return address.Query()
}
