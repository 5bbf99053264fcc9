package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxEvents    = 4096             // for listeners that come back
	eventBatch   = 64               // events of one write to a listener
	maxEventID   = 64               // bytes
	heartbeat    = 20 * time.Second // between signs of life
	eventWritten = 10 * time.Second // bounds one write to a listener
)

// event is what happened to one entry.
type event struct {
	Kind     string      `json:"-"` // published, removed or phase
	Name     string      `json:"name"`
	Digest   string      `json:"digest,omitempty"`
	Revision string      `json:"revision,omitempty"`
	Phase    entry.Phase `json:"phase,omitempty"`
	Before   entry.Phase `json:"before,omitempty"` // the phase that it was in
	Reason   string      `json:"reason,omitempty"`
	Catalog  string      `json:"catalog,omitempty"`
}

// events keeps what happened last, and wakes whoever listens. Listeners read
// from one shared list: one that is behind costs no copy of what it misses.
type events struct {
	epoch string // of this process: sequence numbers of others mean nothing here
	slots chan struct{}

	mu     sync.Mutex
	kept   []string      // as they are sent
	first  uint64        // sequence number of kept[0]
	change chan struct{} // closed at the next event
	closed bool
}

func newEvents(listeners int) *events {
	return &events{
		epoch: newRequestIDs().prefix, slots: make(chan struct{}, listeners),
		first: 1, change: make(chan struct{}),
	}
}

// changed tells what became different between two states.
func (e *events) changed(old, next *state) {
	if old == nil {
		return
	}
	var all []event
	for _, i := range next.entries {
		before := old.byKey[i.key()]
		happened := i.event("published")
		happened.Phase, happened.Reason = i.outline.Phase, i.status.Reason
		switch {
		case before == nil || before.subject.revision != i.subject.revision:
		case before.outline.Phase != i.outline.Phase:
			happened.Kind, happened.Before = "phase", before.outline.Phase
		default:
			continue
		}
		all = append(all, happened)
	}
	for _, i := range old.entries {
		if next.byKey[i.key()] == nil {
			all = append(all, i.event("removed"))
		}
	}
	e.add(all)
}

func (i *servedEntry) event(kind string) event {
	return event{Kind: kind, Name: i.name(), Digest: string(i.subject.digest), Revision: string(i.subject.revision), Catalog: i.outline.Catalog}
}

// add tells listeners; after close, nobody.
func (e *events) add(all []event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(all) == 0 || e.closed {
		return
	}
	for _, happened := range all {
		data, err := json.Marshal(happened)
		if err != nil {
			continue
		}
		e.kept = append(e.kept, e.id(e.latest()+1)+"event: "+happened.Kind+"\ndata: "+string(data)+"\n\n")
	}
	if extra := len(e.kept) - maxEvents; extra > 0 {
		e.kept, e.first = append([]string(nil), e.kept[extra:]...), e.first+uint64(extra)
	}
	close(e.change)
	e.change = make(chan struct{})
}

// latest is the sequence number of the last event. The caller holds the lock.
func (e *events) latest() uint64 { return e.first + uint64(len(e.kept)) - 1 }

// id is the line that tells a listener where it is.
func (e *events) id(sequence uint64) string {
	return "id: " + e.epoch + strconv.FormatUint(sequence, 10) + "\n"
}

// close ends all listening.
func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.change)
	}
}

// cursor is the place of a listener.
type cursor struct {
	after uint64 // sequence number of the last event that it knows of
	lost  bool   // it is to begin anew
}

// resume reads the header with which a listener says where it was.
func (e *events) resume(id string) cursor {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == "" {
		return cursor{after: e.latest()}
	}
	text, ours := strings.CutPrefix(id, e.epoch)
	sequence, err := strconv.ParseUint(text, 10, 64)
	return cursor{after: sequence, lost: !ours || err != nil || len(id) > maxEventID || !e.keeps(sequence)}
}

// keeps reports whether all events after one are there. The caller holds the lock.
func (e *events) keeps(after uint64) bool { return e.first <= after+1 && after <= e.latest() }

// next returns some events after a place, and the place after them: a reset if
// not all of them are kept any more. There are none before change is closed;
// ended tells that none will come.
func (e *events) next(at cursor) (batch []string, then cursor, change <-chan struct{}, ended bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at.lost || !e.keeps(at.after) {
		return []string{e.id(e.latest()) + "event: reset\ndata: {}\n\n"}, cursor{after: e.latest()}, e.change, e.closed
	}
	batch = e.kept[at.after+1-e.first:]
	batch = batch[:min(len(batch), eventBatch)]
	return batch, cursor{after: at.after + uint64(len(batch))}, e.change, e.closed
}

// listen answers GET /v1/catalog/events. A listener whose place is lost is sent
// a reset: it has to read the catalog anew.
func (s *Server) listen(w http.ResponseWriter, r *http.Request) {
	if _, err := parseValues(r.URL.RawQuery, nil); err != nil {
		s.fail(w, r, err)
		return
	}
	done, free := s.shares.listening.take(r)
	if !free {
		w.Header().Set("Retry-After", "30")
		s.fail(w, r, problem(http.StatusTooManyRequests, "throttled", "as many listen to events from this address as this server lets (--max-listeners-per-address)"))
		return
	}
	defer done()
	e := s.events
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		w.Header().Set("Retry-After", "30")
		s.fail(w, r, problem(http.StatusTooManyRequests, "throttled", "as many listen to events as this server lets"))
		return
	}
	at := e.resume(r.Header.Get("Last-Event-ID"))
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s.stream(r.Context(), w, at)
}

// stream sends events until the listener goes away, or is too slow.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, at cursor) {
	control := http.NewResponseController(w)
	write := func(texts ...string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(eventWritten)) // a writer without deadlines has none
		for _, text := range texts {
			if _, err := io.WriteString(w, text); err != nil {
				return false
			}
		}
		return control.Flush() == nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	greeting := "retry: 2000\n: listening\n\n"
	if !at.lost { // who leaves before anything happened comes back to this place
		greeting = s.events.id(at.after) + greeting
	}
	if !write(greeting) {
		return
	}
	for {
		batch, then, change, ended := s.events.next(at)
		at = then
		switch {
		case len(batch) > 0:
			if !write(batch...) {
				return
			}
			continue
		case ended:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-change:
		case <-beat.C:
			if !write(": alive\n\n") {
				return
			}
		}
	}
}
