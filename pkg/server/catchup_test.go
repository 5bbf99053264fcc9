package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/opencontainers/go-digest"
)

// unread is a catalog that is not there.
type unread struct{ source }

func (unread) SetGate(*gate.Gate)                               {}
func (unread) Reference() string                                { return "r.example.com/catalog" }
func (unread) Read(context.Context) (serving.View, error)       { return nil, entry.ErrUnreachable }
func (unread) ReadCached(context.Context) (serving.View, error) { return nil, entry.ErrNotFound }

// servingEntries returns a server that serves some entries, and follows nothing.
func servingEntries(t *testing.T, count int) *Server {
	t.Helper()
	s, err := newServer(Options{}, []source{unread{}})
	if err != nil {
		t.Fatal(err)
	}
	entries := make([]*servedEntry, count)
	for n := range entries {
		item := entry.Item{Name: fmt.Sprintf("entry-%05d", n), Phase: entry.PhaseAvailable, RegistryURL: "r.example.com/os/x:1",
			Digest: digest.Digest("sha256:" + strings.Repeat("0", 64)), Revision: digest.Digest(fmt.Sprintf("sha256:%064d", n))}
		if entries[n], err = newServedEntry(item, entry.Status{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.state.Store(newState(t.Context(), nil, entries, nil, nil, nil))
	return s
}

// stuck is a client that reads nothing.
type stuck struct {
	*httptest.ResponseRecorder
	written chan<- struct{}
	until   <-chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.written <- struct{}{}
	<-s.until
	return len(p), nil
}

// However many clients do not read their answers, the next one gets its own.
func TestSlowReadersKeepNobodyWaiting(t *testing.T) {
	s := servingEntries(t, 10)
	written, until := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	const clients = 4 * maxComputing
	for n := range clients {
		go func() {
			s.ServeHTTP(stuck{httptest.NewRecorder(), written, until}, httptest.NewRequest("GET", fmt.Sprintf("/v1/catalog/images?limit=%d", n+1), nil))
			ended <- struct{}{}
		}()
	}
	for range clients {
		testwait.Receive(t, "all clients to be sent their answers", written)
	}
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest("GET", "/v1/catalog/images?sort=name", nil))
	if answer.Code != http.StatusOK {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	close(until)
	for range clients {
		testwait.Receive(t, "all answers to end", ended)
	}
}

// swallow is a listener that reads everything.
type swallow struct {
	http.ResponseWriter
	bytes int
}

func (s *swallow) Write(p []byte) (int, error)          { s.bytes += len(p); return len(p), nil }
func (s *swallow) WriteString(text string) (int, error) { s.bytes += len(text); return len(text), nil }
func (s *swallow) Flush()                               {}

var _ io.StringWriter = &swallow{}

// A listener that was away for long costs no copy of what it missed.
func TestListenersThatCatchUpCopyNothing(t *testing.T) {
	s := servingEntries(t, maxEvents)
	s.events.changed(newState(t.Context(), nil, nil, nil, nil, nil), s.state.Load())
	missed := 0
	for _, text := range s.events.kept {
		missed += len(text)
	}
	s.Drain() // they end once they have caught up
	catchUp := func() {
		request := httptest.NewRequest("GET", "/v1/catalog/events", nil)
		request.Header.Set("Last-Event-ID", s.events.epoch+"0")
		listener := &swallow{ResponseWriter: httptest.NewRecorder()}
		s.ServeHTTP(listener, request)
		if listener.bytes < missed {
			t.Fatalf("it was sent %d bytes of %d", listener.bytes, missed)
		}
	}
	catchUp()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const listeners = 20
	for range listeners {
		catchUp()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / listeners; each > uint64(missed)/20 {
		t.Errorf("each listener took %d bytes of memory to be sent %d", each, missed)
	}
}

// Lists that nobody asks for again make room for others; those that are asked
// for stay.
func TestListsMakeRoom(t *testing.T) {
	s := servingEntries(t, 10)
	ask := func(query string) {
		t.Helper()
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, httptest.NewRequest("GET", "/v1/catalog/images?"+query, nil))
		if answer.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, answer.Code, answer.Body)
		}
	}
	lists := s.state.Load().lists
	ask("distro=asked")
	asked := lists.get("distro=asked")
	for n := range 3 * maxLists {
		ask(fmt.Sprintf("tags=crawled-%d", n))
		ask("distro=asked")
	}
	if asked == nil || lists.get("distro=asked") != asked {
		t.Error("a list that is asked for all the time was made again")
	}
	if last := fmt.Sprintf("tags=crawled-%d", 3*maxLists-1); lists.get(last) == nil {
		t.Error("the last list is not kept")
	}
	if lists.count > maxLists {
		t.Errorf("%d lists are kept, want no more than %d", lists.count, maxLists)
	}
	count, bytes := 0, 0
	for _, p := range lists.made.Range {
		count, bytes = count+1, bytes+len(p.(*prepared).plain.body)
	}
	if count != lists.count || bytes != lists.bytes {
		t.Errorf("%d lists of %d bytes, counted as %d of %d", count, bytes, lists.count, lists.bytes)
	}
}
