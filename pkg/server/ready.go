package server

import (
	"net/http"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
)

// alive answers GET /healthz: the process serves.
func (s *Server) alive(w http.ResponseWriter, r *http.Request) {
	s.respond(w, r, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
}

// ready answers GET /readyz: there is an index that may be shown, and how old it
// is.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if s.readers != nil { // it is asked without a token, and then told of no catalog
		if name, sc, err := s.reader(r); err == nil && name != "" {
			ctx = withReader(ctx, name, sc)
		}
	}
	sc := s.scopeOf(ctx)
	answer := api.Readiness{Stale: true, Catalogs: []api.CatalogReadiness{}}
	if age, known := s.follower.age(); known {
		seconds := age.Seconds()
		answer.Age = &seconds
	}
	for _, one := range s.follower.followed {
		if !sc.seesCatalog(one.catalog.Reference()) {
			continue
		}
		c := api.CatalogReadiness{Catalog: one.catalog.Reference()}
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
		answer.Policy = &api.PolicyReadiness{Hash: t.policy.Hash()}
		if t.failure != nil {
			answer.Policy.Error = problemOf(t.failure).Code
		}
	}
	status := http.StatusServiceUnavailable
	if now, err := s.shown(ctx); err == nil {
		status = http.StatusOK
		answer.Ready, answer.Stale, answer.Entries = true, s.follower.isStale(), len(now.entries)
	}
	w.Header().Set("Cache-Control", "no-store")
	s.respond(w, r, status, answer)
}
