package server

import (
	"context"
	"crypto/cipher"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
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
	epoch string       // of this process: sequence numbers of others mean nothing here
	seal  cipher.Block // hides sequence numbers from those who see some events only
	slots chan struct{}

	mu     sync.Mutex
	kept   []string      // as they are sent to those who may see all
	keys   []health.Key  // the entries that they are about
	first  uint64        // sequence number of kept[0]
	change chan struct{} // closed at the next event
	closed bool
}

func newEvents(listeners int) *events {
	return &events{
		epoch: newRequestIDs().prefix, seal: newSeal(), slots: make(chan struct{}, listeners),
		first: 1, change: make(chan struct{}),
	}
}

// changed tells what became different between two states, and returns the new phases.
func (e *events) changed(old, next *state) (phases []event) {
	if old == nil {
		return nil
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
			phases = append(phases, happened)
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
	return phases
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
		e.kept = append(e.kept, e.id(cursor{}, e.latest()+1)+"event: "+happened.Kind+"\ndata: "+string(data)+"\n\n")
		e.keys = append(e.keys, health.Key{Catalog: happened.Catalog, Name: happened.Name})
	}
	if extra := len(e.kept) - maxEvents; extra > 0 {
		e.kept, e.first = append([]string(nil), e.kept[extra:]...), e.first+uint64(extra)
		e.keys = append([]health.Key(nil), e.keys[extra:]...)
	}
	close(e.change)
	e.change = make(chan struct{})
}

// latest is the sequence number of the last event. The caller holds the lock.
func (e *events) latest() uint64 { return e.first + uint64(len(e.kept)) - 1 }

// close ends all listening.
func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.change)
	}
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
	at := e.resume(r.Header.Get("Last-Event-ID"), s.seenBy(r.Context()))
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s.stream(r.Context(), w, at, s.stillReads(r))
}

// stream sends events until the listener goes away, is too slow, or may not read any
// more what it may read.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, at cursor, mayRead func() bool) {
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
		greeting = s.events.id(at, at.after) + greeting
	}
	if !write(greeting) {
		return
	}
	for {
		batch, then, change, ended := s.events.next(at)
		moved := then.after != at.after
		at = then
		switch {
		case len(batch) > 0:
			if !mayRead() || !write(batch...) {
				return
			}
			continue
		case moved: // past events that this listener may not see
			continue
		case ended:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-change:
		case <-beat.C:
			if !mayRead() || !write(": alive\n\n") {
				return
			}
		}
	}
}
