package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	keptEvents   = 4096             // for listeners that come back
	maxEventID   = 64               // bytes
	heartbeat    = 20 * time.Second // between signs of life
	eventWritten = 10 * time.Second // bounds one write to a listener
)

// event is what happened to one entry.
type event struct {
	Kind     string `json:"-"` // published, removed or phase
	Name     string `json:"name"`
	Digest   string `json:"digest,omitempty"`
	Revision string `json:"revision,omitempty"`
	Phase    string `json:"phase,omitempty"`
	Before   string `json:"before,omitempty"` // the phase that it was in
	Reason   string `json:"reason,omitempty"`
	Catalog  string `json:"catalog,omitempty"`
}

// events keeps what happened last, and wakes whoever listens. Listeners read
// from one shared list: a slow one costs no memory.
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
	for _, i := range next.images {
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
	for _, i := range old.images {
		if next.byKey[i.key()] == nil {
			all = append(all, i.event("removed"))
		}
	}
	e.add(all)
}

func (i *image) event(kind string) event {
	return event{Kind: kind, Name: i.name(), Digest: i.subject.digest, Revision: i.subject.revision, Catalog: i.outline.Catalog}
}

func (e *events) add(all []event) {
	if len(all) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, happened := range all {
		data, err := json.Marshal(happened)
		if err != nil {
			continue
		}
		sequence := e.first + uint64(len(e.kept))
		e.kept = append(e.kept, "id: "+e.epoch+strconv.FormatUint(sequence, 10)+"\nevent: "+happened.Kind+"\ndata: "+string(data)+"\n\n")
	}
	if extra := len(e.kept) - keptEvents; extra > 0 {
		e.kept, e.first = append([]string(nil), e.kept[extra:]...), e.first+uint64(extra)
	}
	close(e.change)
	e.change = make(chan struct{})
}

func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.change)
	}
}

// since returns the events after a sequence number, and where they end; lost
// if some of them are not kept any more.
func (e *events) since(after uint64) (found []string, next uint64, change <-chan struct{}, lost, closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next = e.first + uint64(len(e.kept)) - 1
	if after+1 < e.first || after > next {
		return nil, next, e.change, true, e.closed
	}
	return e.kept[after+1-e.first:], next, e.change, false, e.closed
}

// resume reads the header with which a listener says where it was.
func (e *events) resume(id string) (after uint64, lost bool) {
	e.mu.Lock()
	latest := e.first + uint64(len(e.kept)) - 1
	e.mu.Unlock()
	if id == "" {
		return latest, false
	}
	text, ours := strings.CutPrefix(id, e.epoch)
	sequence, err := strconv.ParseUint(text, 10, 64)
	if !ours || err != nil || len(id) > maxEventID {
		return latest, true
	}
	return sequence, false
}

// listen answers GET /v1/catalog/events. A listener whose place is lost is sent
// a reset: it has to read the catalog anew.
func (s *Server) listen(w http.ResponseWriter, r *http.Request) {
	if _, err := parseValues(r.URL.RawQuery, nil); err != nil {
		s.fail(w, r, err)
		return
	}
	e := s.events
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		w.Header().Set("Retry-After", "30")
		s.fail(w, r, problem(http.StatusTooManyRequests, "unreachable", "as many listen to events as this server lets"))
		return
	}
	after, lost := e.resume(r.Header.Get("Last-Event-ID"))
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s.stream(r.Context(), http.NewResponseController(w), w, after, lost)
}

// stream sends events until the listener goes away, or is too slow.
func (s *Server) stream(ctx context.Context, control *http.ResponseController, w http.ResponseWriter, after uint64, lost bool) {
	write := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(eventWritten)) // a writer without deadlines has none
		_, err := w.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	if !write("retry: 2000\n: listening\n\n") {
		return
	}
	for {
		found, next, change, missed, closed := s.events.since(after)
		text := strings.Join(found, "")
		if lost || missed {
			text = "id: " + s.events.epoch + strconv.FormatUint(next, 10) + "\nevent: reset\ndata: {}\n\n"
		}
		if text != "" && !write(text) || closed {
			return
		}
		after, lost = next, false
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
