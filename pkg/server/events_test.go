package server_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/schema/apitest"
)

func sum(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// listener is a client of the events route.
type listener struct {
	lines  *bufio.Reader
	cancel context.CancelFunc
	id     string // of its place before the first event
}

// listen returns a listener that hears the end of the stream after the limit of
// a wait at the latest.
func (w *world) listen(last string, headers ...string) *listener {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), testwait.Limit)
	request, err := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/catalog/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	for _, header := range headers {
		key, value, _ := strings.Cut(header, ": ")
		request.Header.Set(key, value)
	}
	response, err := forwarding.RoundTrip(request)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%v %v", response, err)
	}
	w.t.Cleanup(func() { cancel(); response.Body.Close() })
	l := &listener{lines: bufio.NewReader(response.Body), cancel: cancel}
	first := l.next(w.t)
	if first != "" && (!strings.HasPrefix(first, "id: ") || strings.Count(first, "\n") != 1) {
		w.t.Fatalf("the first words are %q", first)
	}
	l.id = strings.TrimSpace(strings.TrimPrefix(first, "id: "))
	return l
}

// next returns the next block, without comments.
func (l *listener) next(t testing.TB) string {
	t.Helper()
	var block strings.Builder
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ends before an event: %v", err)
		}
		if line == "\n" {
			return block.String()
		}
		if !strings.HasPrefix(line, ":") && !strings.HasPrefix(line, "retry:") {
			block.WriteString(line)
		}
	}
}

func TestEventsAreToldAndResumed(t *testing.T) {
	w := newWorld(t)
	w.publish("before")
	w.startReady(w.allowPublish)
	l := w.listen("")
	w.publish("a")
	first := l.next(t)
	if !strings.Contains(first, "\nevent: published\n") || !strings.Contains(first, `"name":"a"`) {
		t.Fatalf("%q", first)
	}
	_, data, _ := strings.Cut(first, "data: ")
	if err := apitest.CheckSchema("ChangeEvent", []byte(data)); err != nil {
		t.Error(err)
	}
	id := strings.TrimPrefix(strings.SplitN(first, "\n", 2)[0], "id: ")
	l.cancel()
	w.publish("b")
	w.until("shown", func() bool { return w.list("").Total == 3 })
	if a := w.ask("DELETE", "/v1/catalog/images/a", "", bearer); a.status != 204 {
		t.Fatal(a.status)
	}
	resumed := w.listen(id)
	if got := resumed.next(t); !strings.Contains(got, "event: published\n") || !strings.Contains(got, `"name":"b"`) {
		t.Errorf("%q", got)
	}
	if got := resumed.next(t); !strings.Contains(got, "event: removed\n") || !strings.Contains(got, `"name":"a"`) {
		t.Errorf("%q", got)
	}
	for _, lost := range []string{"of-another-server-7", "x", strings.Repeat("9", 100), id + "999999"} {
		if got := w.listen(lost).next(t); !strings.Contains(got, "event: reset\n") {
			t.Errorf("%.20s: %q", lost, got)
		}
	}
}

func TestPhaseChangesAreTold(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(nil)
	l := w.listen("")
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/os/a/") && wiped(answer, r)
	})
	w.ask("POST", "/v1/catalog/images/a/verify", "")
	got := l.next(t)
	if !strings.Contains(got, "event: phase\n") || !strings.Contains(got, `"phase":"Failed","before":"Available","reason":"ManifestUnknown"`) {
		t.Errorf("%q", got)
	}
}

// More listeners than allowed are refused; those that leave make room.
func TestListenersAreBounded(t *testing.T) {
	w := newWorld(t)
	w.startReady(func(o *server.Options) { o.Listeners = 3 })
	var all []*listener
	for range 3 {
		all = append(all, w.listen(""))
	}
	if a := w.ask("GET", "/v1/catalog/events", ""); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", a.status)
	}
	all[0].cancel()
	w.until("room", func() bool {
		request, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+"/v1/catalog/events", nil)
		response, err := forwarding.RoundTrip(request)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 200
	})
	w.server.Drain()
	for _, l := range all[1:] {
		if _, err := io.Copy(io.Discard, l.lines); err != nil {
			t.Errorf("a listener is not ended in order: %v", err)
		}
	}
}

// Who leaves before anything happened misses nothing.
func TestEventsBetweenTwoConnections(t *testing.T) {
	w := newWorld(t)
	w.publish("before")
	w.startReady(nil)
	l := w.listen("")
	l.cancel()
	w.publish("between")
	w.until("shown", func() bool { return w.list("").Total == 2 })
	if got := w.listen(l.id).next(t); !strings.Contains(got, `"name":"between"`) {
		t.Errorf("the first event after coming back is %q", got)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	w.startReady(func(o *server.Options) { o.Refresh = time.Hour }) // not stale before the end, however busy the machine is
	w.list("")
	for range 50 {
		w.ask("GET", "/v1/catalog/images/"+strings.Repeat("x", 10), "")
		w.ask("GET", "/somewhere/else", "")
	}
	w.ask("POST", "/v1/catalog/images/a/verify", "")
	w.until("probed", func() bool {
		return strings.Contains(string(w.ask("GET", "/metrics", "").body), `result="Verified"`)
	})
	text := string(w.ask("GET", "/metrics", "").body)
	for _, want := range []string{
		`caib_images{phase="Available"} 2`, `caib_images{phase="Failed"} 0`, `caib_entries 2`, `caib_index_stale 0`, `caib_index_age_seconds `,
		`caib_http_requests_total{code="404",route="GET /v1/catalog/images/{name}"} 50`, `caib_http_requests_total{code="404",route="other"} 50`,
		`caib_breaker_state{registry="` + w.host + `"} 0`, `caib_build_info{go="go`, `caib_refresh_failures_total 0`, `caib_list_cache_hits_total `,
		`caib_probe_duration_seconds_count{registry="` + w.host + `",result="Verified"} 1`, `caib_http_request_duration_seconds_bucket{route="GET /v1/catalog/images",le="0.001"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if series := strings.Count(text, "\n"); series > 700 {
		t.Errorf("%d lines of metrics", series)
	}
}
