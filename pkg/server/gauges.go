package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oci-catalog/caib/pkg/entry"
)

// hostLabels bounds how many registries have a label of their own.
type hostLabels struct {
	mu    sync.Mutex
	known map[string]bool
}

func (h *hostLabels) label(host string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known[host] && len(h.known) >= maxHosts {
		return otherHosts
	}
	h.known[host] = true
	return host
}

func newGauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	phasesGauge    = newGauge("images", "Entries by phase.", "phase")
	entriesGauge   = newGauge("entries", "Entries that are served.")
	ageGauge       = newGauge("index_age_seconds", "Time since the log was last read, of the catalog read longest ago.")
	staleGauge     = newGauge("index_stale", "1 while the served state is not known to be current.")
	breakerGauge   = newGauge("breaker_state", "Breaker of a registry: 0 closed, 1 half-open, 2 open.", "registry")
	listenersGauge = newGauge("event_listeners", "Listeners to events.")
	verdictsGauge  = newGauge("verdicts", "Names by the verdict of the trust policy, refused ones included.", "verdict")
	refusedGauge   = newGauge("refused", "Names that the trust policy keeps back.")
	policyGauge    = newGauge("policy_readable", "1 while the trust policy can be read; else nothing is shown.")
)

// stateCollector shows the state of a server when it is scraped.
type stateCollector struct{ server *Server }

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{phasesGauge, entriesGauge, ageGauge, staleGauge, breakerGauge, listenersGauge, verdictsGauge, refusedGauge, policyGauge} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	s := c.server
	gauge(listenersGauge, float64(len(s.events.slots)))
	phases := map[entry.Phase]int{"Pending": 0, "Verifying": 0, "Available": 0, "Unavailable": 0, "Failed": 0}
	if now := s.state.Load(); now != nil {
		gauge(entriesGauge, float64(len(now.entries)))
		for _, i := range now.entries {
			phases[i.outline.Phase]++
		}
		stale := 0.0
		if s.follower.isStale() {
			stale = 1
		}
		gauge(staleGauge, stale)
	}
	c.collectTrust(gauge)
	for phase, count := range phases {
		gauge(phasesGauge, float64(count), string(phase))
	}
	if age, known := s.follower.age(); known {
		gauge(ageGauge, age.Seconds())
	}
	if s.monitor == nil {
		return
	}
	worst := map[string]float64{}
	for host, state := range s.monitor.Breakers() {
		value := map[string]float64{"half-open": 1, "open": 2}[state]
		label := s.metrics.hosts.label(host)
		worst[label] = max(worst[label], value)
	}
	for label, value := range worst {
		gauge(breakerGauge, value, label)
	}
}

// collectTrust shows what the policy makes of the catalogs. What is not found out
// under the policy of now is unknown.
func (c *stateCollector) collectTrust(gauge func(*prometheus.Desc, float64, ...string)) {
	t, now := c.server.trust.Load(), c.server.state.Load()
	if t == nil {
		return
	}
	readable := 1.0
	if t.failure != nil {
		readable = 0
	}
	gauge(policyGauge, readable)
	if now == nil {
		return
	}
	counts := now.tally()
	if c.server.usable(now) != nil {
		all := len(now.entries) + len(now.refusals)
		clear(counts)
		counts[entry.VerdictUnknown] = all
	}
	for _, verdict := range verdicts {
		gauge(verdictsGauge, float64(counts[verdict]), string(verdict))
	}
	gauge(refusedGauge, float64(len(now.refusals)))
}

// age is how long ago the catalog was read that was read longest ago; before all
// were read, how old what was kept on disk is. It is unknown where that says
// nothing.
func (f *follower) age() (age time.Duration, known bool) {
	for _, one := range f.followed {
		one.mu.Lock()
		read := one.read
		one.mu.Unlock()
		if read.IsZero() {
			if f.server.state.Load() == nil || f.kept.IsZero() {
				return 0, false
			}
			return max(time.Since(f.kept), 0), true
		}
		age = max(age, time.Since(read))
	}
	return age, true
}
