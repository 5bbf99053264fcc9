package server

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	namespace  = "caib"
	maxHosts   = 100 // registries with labels of their own; the others share one
	otherHosts = "other"
)

// metrics are what a Prometheus server scrapes. Every label has few values,
// whatever is asked: routes, codes, phases, and at most maxHosts registries.
type metrics struct {
	handler         http.Handler
	requests        *prometheus.CounterVec
	durations       *prometheus.HistogramVec
	hits, misses    prometheus.Counter
	refreshFailures prometheus.Counter
	publishes       *prometheus.CounterVec
	probes          *prometheus.HistogramVec
	hosts           *hostLabels
}

func newMetrics(s *Server) *metrics {
	registry := prometheus.NewRegistry()
	m := &metrics{
		requests:        prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "http_requests_total", Help: "Requests by route and code."}, []string{"route", "code"}),
		durations:       prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "http_request_duration_seconds", Help: "Time to answer a request.", Buckets: []float64{.0005, .001, .005, .01, .05, .1, .5, 1, 5}}, []string{"route"}),
		hits:            prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "list_cache_hits_total", Help: "Lists answered from prepared bytes."}),
		misses:          prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "list_cache_misses_total", Help: "Lists that were computed."}),
		refreshFailures: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "refresh_failures_total", Help: "Reads of a log that failed."}),
		publishes:       prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "publishes_total", Help: "Publications, additions and removals by outcome."}, []string{"action", "outcome"}),
		probes:          prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "probe_duration_seconds", Help: "Time to probe an image, by registry and result.", Buckets: []float64{.01, .05, .1, .5, 1, 5, 30}}, []string{"registry", "result"}),
		hosts:           &hostLabels{known: map[string]bool{}},
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Which caib this is."}, []string{"version", "go"})
	build.WithLabelValues(s.options.Version, runtime.Version()).Set(1)
	registry.MustRegister(m.requests, m.durations, m.hits, m.misses, m.refreshFailures, m.publishes, m.probes, build,
		&stateCollector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
	return m
}

// counted counts the requests of a route.
func (m *metrics) counted(pattern string, next http.HandlerFunc) http.HandlerFunc {
	duration := m.durations.WithLabelValues(pattern)
	ok, unchanged := m.requests.WithLabelValues(pattern, "200"), m.requests.WithLabelValues(pattern, "304")
	streams := strings.HasSuffix(pattern, "/events")
	return func(w http.ResponseWriter, r *http.Request) {
		recorded := w.(*response)
		recorded.route = pattern
		next(w, r)
		if !streams { // how long somebody listened is no time to answer
			duration.Observe(time.Since(recorded.begun).Seconds())
		}
		switch recorded.status {
		case http.StatusOK, 0:
			ok.Inc()
		case http.StatusNotModified:
			unchanged.Inc()
		default:
			m.requests.WithLabelValues(pattern, strconv.Itoa(recorded.status)).Inc()
		}
	}
}

// published counts an audit record by its outcome, or by the code of the error.
func (m *metrics) published(d auditRecord, err error) {
	outcome := d.outcome
	if err != nil {
		outcome = problemOf(err).Code
	}
	m.publishes.WithLabelValues(d.action, outcome).Inc()
}

func (m *metrics) probed(host, reason string, took time.Duration) {
	if reason == "" {
		reason = health.ReasonVerified
	}
	m.probes.WithLabelValues(m.hosts.label(host), reason).Observe(took.Seconds())
}

// scrape answers GET /metrics.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request) { s.metrics.handler.ServeHTTP(w, r) }
