package health

import (
	"cmp"
	"container/heap"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sony/gobreaker/v2"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Options configure a Monitor. Only Probe is required.
type Options struct {
	Probe    Probe            // is given name, catalog, reference and digests of an item
	Interval time.Duration    // between probes of an entry; 0 is 1h
	Retry    time.Duration    // after the first failure, doubled with each further one; 0 is 5m
	Timeout  time.Duration    // of one probe; 0 is 30s
	PerHost  int              // probes under way to one registry; 0 is 4
	Parallel int              // probes under way in all; 0 is 64
	Now      func() time.Time // the clock that probes are due by; nil is the system's
	// Allow reports why an item may not be probed: then nothing is asked, and its
	// status stays as it is. nil lets everything be probed.
	Allow func(item *entry.Item) error
	// Changed is told after a probe changed a status; news is false if only
	// the times in it are others. It must not block. nil tells nobody.
	Changed func(key Key, news bool)
	// Probed is told about every probe that was made. nil tells nobody.
	Probed func(host, reason string, took time.Duration)
	// Failed is told what a probe that failed met, in the words of whoever
	// answered: no status has them, because statuses are shown to everybody.
	// news is false if the status stays what it was. nil tells nobody.
	Failed func(key Key, err error, news bool)
}

// Monitor keeps the statuses of a set of entries. It is safe for concurrent
// use.
type Monitor struct {
	options Options
	wake    chan struct{}
	slots   chan struct{} // probes under way

	mu      sync.Mutex
	entries map[Key]*watched
	queue   queue
	hosts   map[string]*host
}

// watched is one entry under watch. Its fields are guarded by the monitor.
type watched struct {
	subject  subject
	status   entry.Status
	due      time.Time
	index    int          // in the queue; -1 while its probe is under way
	accesses atomic.Int64 // that are not recorded
	merged   int64        // as many of them are in the last merge
	total    int64        // that it says
}

// subject is what probing needs to know of an item: a small part of it.
type subject struct {
	key              Key
	reference        string
	digest, revision digest.Digest
	host             string // of the reference
	interval         time.Duration
}

func (m *Monitor) subject(old subject, item *entry.Item) subject {
	s := subject{KeyOf(item), item.RegistryURL, item.Digest, item.Revision, old.host, m.interval(item)}
	if s.reference != old.reference {
		s.host = hostOf(s.reference)
	}
	return s
}

// item is as much of the item as a probe is given.
func (s *subject) item() *entry.Item {
	return &entry.Item{Name: s.key.Name, Catalog: s.key.Catalog, RegistryURL: s.reference, Digest: s.digest, Revision: s.revision}
}

// New makes a monitor that watches nothing yet.
func New(options Options) *Monitor {
	options.Interval = cmp.Or(max(options.Interval, 0), defaultInterval)
	options.Retry = cmp.Or(max(options.Retry, 0), defaultRetry)
	options.Timeout = cmp.Or(max(options.Timeout, 0), 30*time.Second)
	options.PerHost = cmp.Or(max(options.PerHost, 0), 4)
	options.Parallel = cmp.Or(max(options.Parallel, 0), 64)
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Monitor{
		options: options, wake: make(chan struct{}, 1), slots: make(chan struct{}, options.Parallel),
		entries: map[Key]*watched{}, hosts: map[string]*host{},
	}
}

// Key names an item among those of several catalogs.
type Key struct{ Catalog, Name string }

// KeyOf returns the key of an item.
func KeyOf(item *entry.Item) Key { return Key{item.Catalog, item.Name} }

// Follow makes items those that are watched. An item whose revision is not the
// one watched until now starts anew. Recorded are statuses that somebody
// stored: one that says more than what is known here is taken over. Of an item,
// name, catalog, revision, reference, digest, labels and the time of publication
// count; it is not kept, but its strings are.
func (m *Monitor) Follow(items iter.Seq[*entry.Item], recorded map[Key]*entry.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	seen := make(map[Key]bool, len(m.entries))
	for item := range items {
		key := KeyOf(item)
		seen[key] = true
		w := m.entries[key]
		if w == nil {
			w = &watched{subject: subject{host: localHost}, index: -1}
			m.entries[key] = w
		}
		changed := w.subject.revision != item.Revision
		w.subject = m.subject(w.subject, item)
		if changed {
			w.status = Initial(item, nil)
		}
		w.mergeRecorded(recorded[key])
		if changed {
			m.reschedule(w, m.next(w, now))
		}
	}
	for key, w := range m.entries {
		if !seen[key] {
			delete(m.entries, key)
			if w.index >= 0 {
				heap.Remove(&m.queue, w.index)
			}
		}
	}
	m.forgetHosts()
	m.nudge()
}

// forgetHosts drops the breakers of registries that no entry names any more.
// The caller holds the lock.
func (m *Monitor) forgetHosts() {
	named := make(map[string]bool, len(m.hosts))
	for _, w := range m.entries {
		named[w.subject.host] = true
	}
	maps.DeleteFunc(m.hosts, func(name string, _ *host) bool { return !named[name] })
}

// mergeRecorded takes a recorded status over where it says more than ours.
func (w *watched) mergeRecorded(recorded *entry.Status) {
	w.status = newer(w.status, recorded)
	// Equal strings that are held anyway.
	w.status.Name, w.status.Revision = w.subject.key.Name, w.subject.revision
}

// nudge makes Run read the queue again.
func (m *Monitor) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Statuses returns what is known.
func (m *Monitor) Statuses() map[Key]entry.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[Key]entry.Status, len(m.entries))
	for key, w := range m.entries {
		all[key] = w.status
	}
	return all
}

// Status returns what is known of one item.
func (m *Monitor) Status(key Key) (entry.Status, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.entries[key]
	if !ok {
		return entry.Status{}, false
	}
	return w.status, true
}

// Accesses returns the counter of an item, for whoever serves it to count with;
// what it counts is in the next merge, and in no status before that is recorded.
// It returns nil for an item that is not watched.
func (m *Monitor) Accesses(key Key) *atomic.Int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.entries[key]; w != nil {
		return &w.accesses
	}
	return nil
}

// Merge returns the statuses of one catalog as they are to be recorded: ours,
// or the recorded ones where they say more, and the accesses of both. It reports
// false where that says nothing new. Call Recorded once they are.
func (m *Monitor) Merge(catalog string, recorded map[string]*entry.Status) (merged []*entry.Status, news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.entries {
		if w.subject.key.Catalog != catalog {
			continue
		}
		old := recorded[w.subject.key.Name]
		w.mergeRecorded(old)
		w.merged = w.accesses.Load()
		w.total = w.status.Accesses + w.merged
		s := w.status
		s.Accesses = w.total
		merged = append(merged, &s)
		news = news || old == nil || !same(*old, s)
	}
	return merged, news
}

// Recorded tells that the last merge of a catalog was recorded: the accesses in
// it are in the statuses from now on.
func (m *Monitor) Recorded(catalog string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.entries {
		if w.subject.key.Catalog == catalog {
			w.status.Accesses = max(w.status.Accesses, w.total) // Follow may have taken it over
			w.accesses.Add(-w.merged)
			w.merged, w.total = 0, 0
		}
	}
}

// same reports whether recording b after a would say anything new.
func same(a, b entry.Status) bool {
	times := (a.StaleSince == nil) == (b.StaleSince == nil) && (a.MovedSince == nil) == (b.MovedSince == nil)
	a.StaleSince, b.StaleSince, a.MovedSince, b.MovedSince = nil, nil, nil, nil
	return a == b && times
}

// sameButTimes reports whether a and b differ in nothing but when it was found out.
func sameButTimes(a, b entry.Status) bool {
	a.LastVerified, a.Since, a.Failures = b.LastVerified, b.Since, b.Failures
	return same(a, b)
}

// Breakers returns the state of each registry's breaker by host: closed,
// half-open or open.
func (m *Monitor) Breakers() map[string]string {
	m.mu.Lock()
	hosts := maps.Clone(m.hosts)
	m.mu.Unlock()
	states := map[string]string{}
	for name, h := range hosts {
		states[name] = h.breaker.State().String()
	}
	return states
}

// host limits the requests to one registry.
type host struct {
	breaker *gobreaker.CircuitBreaker[outcome]
	slots   chan struct{}
}
