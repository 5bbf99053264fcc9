package server

import (
	"net/http"
	"time"
)

// alive answers GET /healthz: the process serves.
func (s *Server) alive(w http.ResponseWriter, r *http.Request) {
	s.respond(w, r, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
}

// readiness is the answer of GET /readyz.
type readiness struct {
	Ready    bool           `json:"ready"`
	Stale    bool           `json:"stale"` // served from the cache, or not read lately
	Entries  int            `json:"entries"`
	Age      *float64       `json:"ageSeconds"` // since the last look at the log; null: it was not read yet
	Catalogs []catalogReady `json:"catalogs"`
	Policy   *policyReady   `json:"policy,omitempty"` // null without one
}

type policyReady struct {
	Hash  string `json:"hash"`            // of the one that was read last
	Error string `json:"error,omitempty"` // why that is not the one of now
}

type catalogReady struct {
	Catalog string   `json:"catalog"`
	Age     *float64 `json:"ageSeconds"`
	Error   string   `json:"error,omitempty"` // of the last look
}

// ready answers GET /readyz: there is an index that may be shown, and how old it
// is.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	answer := readiness{Stale: true, Catalogs: []catalogReady{}}
	if age, known := s.follower.age(); known {
		seconds := age.Seconds()
		answer.Age = &seconds
	}
	for _, one := range s.follower.followed {
		c := catalogReady{Catalog: one.catalog.Reference()}
		one.mu.Lock()
		if !one.read.IsZero() {
			seconds := time.Since(one.read).Seconds()
			c.Age = &seconds
		}
		if one.failure != nil {
			c.Error = problemOf(one.failure).Code
		}
		one.mu.Unlock()
		answer.Catalogs = append(answer.Catalogs, c)
	}
	if t := s.trust.Load(); t != nil {
		answer.Policy = &policyReady{Hash: t.policy.Hash()}
		if t.failure != nil {
			answer.Policy.Error = problemOf(t.failure).Code
		}
	}
	status := http.StatusServiceUnavailable
	if now, err := s.shown(); err == nil {
		status = http.StatusOK
		answer.Ready, answer.Stale, answer.Entries = true, s.follower.isStale(), len(now.images)
	}
	w.Header().Set("Cache-Control", "no-store")
	s.respond(w, r, status, answer)
}
