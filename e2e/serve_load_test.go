package e2e

import (
	"bufio"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/e2e/faultproxy"
	"github.com/oci-catalog/caib/internal/testwait"
)

// The load of TestServerUnderLoad: `make load` puts the whole one on.
var (
	load        = flag.Duration("load", 3*time.Second, "how long 1,000 connections ask the index server")
	loadEntries = flag.Int("load-entries", 2000, "how many entries it has")
	loadFigures = flag.Bool("load-figures", false, "fail where times and rates are worse than they are on two idle cores, instead of printing them only")
)

// figure reports a time or a rate that says as much about the machine as about
// the server: it fails the test with -load-figures alone.
func figure(t testing.TB, good bool, format string, args ...any) {
	t.Helper()
	if *loadFigures && !good {
		t.Errorf(format, args...)
	} else {
		t.Logf(format, args...)
	}
}

// outage is a registry that can be killed and started again where it was, with
// a fault proxy before it.
type outage struct {
	t       testing.TB
	host    string
	handler http.Handler
	proxy   *faultproxy.Proxy
	server  *http.Server
}

func newOutage(t testing.TB) *outage {
	o := &outage{t: t, host: "127.0.0.1:0", handler: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
	o.start()
	o.proxy = faultproxy.New(t, o.host, faultproxy.Faults{})
	t.Cleanup(o.kill)
	return o
}

func (o *outage) start() {
	o.t.Helper()
	listener, err := net.Listen("tcp", o.host)
	if err != nil {
		o.t.Fatal(err)
	}
	server := &http.Server{Handler: o.handler}
	o.host, o.server = listener.Addr().String(), server
	go func() { _ = server.Serve(listener) }() // until it is killed
}

func (o *outage) kill() { _ = o.server.Close() }

// A thousand connections: no error and no wrong answer, in flat memory; also
// while the registry fails in every way. Nothing is left when they are gone. How
// soon the answers come is reported.
func TestServerUnderLoad(t *testing.T) {
	registry := newOutage(t)
	w := newWorld(t, at(registry.proxy.Host, "ggcr", false))
	fillCatalog(t, registry.host+"/team/catalog", "-entries", strconv.Itoa(*loadEntries))
	url, end := w.serve("--verify-interval", "24h")
	before := w.resources(url)
	c := newCrowd(t, url, questions(*loadEntries))
	w.eventually("ten answers a connection, before memory is compared", func() bool { return c.answered() >= 10*crowdSize })
	_, _ = c.taken()
	const parts, slack = 6, 16 << 20 // bytes that are collected sooner or later
	var sizes []int
	best, answers := time.Hour, 0
	for range parts {
		<-time.After(*load / parts)
		count, p99 := c.taken()
		if answers += count; count > 0 {
			best = min(best, p99)
		}
		sizes = append(sizes, w.resources(url).resident)
	}
	t.Logf("resident %d MiB before, then at most %d MiB", before.resident>>20, slices.Max(sizes)>>20)
	want := int(*load/crowdPause) * crowdSize / 2
	figure(t, answers >= want, "%d answers in %s, want at least %d on two idle cores", answers, *load, want)
	figure(t, best <= 50*time.Millisecond, "the 99th percentile is %s in the best part, want at most 50 ms on two idle cores", best) // the other parts had less of the machine
	if first, last := slices.Max(sizes[:2]), slices.Max(sizes[parts-2:]); last > first+first/5+slack {
		t.Errorf("resident memory grows from %d MiB to %d MiB", first>>20, last>>20)
	}
	w.failing(registry, url)
	c.end()
	w.asBefore(url, before)
	if code := end(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// failing makes the registry fail in every way, one after the other, and waits
// until the server is current again after each.
func (w *world) failing(registry *outage, url string) {
	w.t.Helper()
	isStale := func(yes bool) func() bool {
		return func() bool {
			return strings.Contains(string(fetch(w.t, url+"/readyz")), `"stale":`+strconv.FormatBool(yes))
		}
	}
	lists := faultproxy.On(http.MethodGet, "/tags/list")
	always := func(do faultproxy.Action) faultproxy.Faults {
		return faultproxy.Faults{Rules: []*faultproxy.Rule{{Match: lists, Do: do}}}
	}
	for name, faults := range map[string]faultproxy.Faults{
		"killed":       {},
		"throttled":    always(faultproxy.Action{Status: 429, RetryAfter: "1"}),
		"cut off":      always(faultproxy.Action{Cut: true}),
		"an HTML page": always(faultproxy.Action{HTML: true}),
		"empty":        {HideTags: func(string) bool { return true }},
		"cut short":    {HideTags: func(tag string) bool { return tag < "autosd-r" }},
	} {
		if name == "killed" {
			registry.kill()
		}
		registry.proxy.Set(faults)
		if faults.HideTags == nil {
			w.eventually(name+", and noticed", isStale(true))
		} else { // what it shows is no fault to be noticed, and nothing to be believed
			registry.proxy.Requests()
			w.eventually(name+", and listed", func() bool {
				return slices.ContainsFunc(registry.proxy.Requests(), func(seen string) bool { return strings.HasSuffix(seen, "/tags/list 200") })
			})
		}
		if name == "killed" {
			registry.start()
		}
		registry.proxy.Set(faultproxy.Faults{})
		begun := time.Now()
		w.eventually("current after it was "+name, isStale(false))
		took := time.Since(begun) // a refresh is every second, and waits that long for an answer
		figure(w.t, took <= 4*time.Second, "after it was %s, it took %s to be current, want at most 4 s on two idle cores", name, took)
	}
}

// Ten thousand listeners that are really connected: bounded memory, all are
// told, one more is refused, others are served, and nothing is left of them.
func TestServerWithListeners(t *testing.T) {
	const listeners = 10_000
	registry := newOutage(t)
	w := newWorld(t, at(registry.proxy.Host, "ggcr", false))
	w.ok("catalog", "publish", w.push("autosd", "1"))
	url, _ := w.serve("--max-listeners", strconv.Itoa(listeners), "--max-listeners-per-address", strconv.Itoa(listeners), "--max-connections", strconv.Itoa(2*listeners+200))
	before := w.resources(url)
	var told sync.WaitGroup
	var listening atomic.Int64
	connections := make([]net.Conn, listeners)
	for n := range connections {
		connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		connections[n] = connection
		told.Go(func() {
			_, _ = io.WriteString(connection, "GET /v1/catalog/events HTTP/1.1\r\nHost: x\r\n\r\n")
			lines := bufio.NewReaderSize(connection, 512)
			for {
				line, err := lines.ReadString('\n')
				switch {
				case err != nil:
					t.Errorf("a listener is not told: %v", err)
					return
				case strings.HasPrefix(line, ": listening"):
					listening.Add(1)
				case strings.Contains(line, `"name":"second"`):
					return
				}
			}
		})
	}
	w.eventually("listening", func() bool { return listening.Load() == listeners })
	response, err := client.Get(url + "/v1/catalog/events")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one listener too many is answered %s, want 429", response.Status)
	}
	w.ok("catalog", "publish", w.push("second", "1"))
	testwait.Return(t, "all listeners to be told", told.Wait)
	held := w.resources(url)
	each := (held.resident - before.resident) / listeners
	t.Logf("%d bytes for each of %d listeners", each, listeners)
	if each > 48<<10 {
		t.Errorf("%d bytes for each of %d listeners, want at most 48 KiB", each, listeners)
	}
	if got := len(w.list("--server", url)); got != 2 {
		t.Errorf("beside them, %d entries are listed", got)
	}
	for _, connection := range connections {
		connection.Close()
	}
	w.asBefore(url, before)
}
