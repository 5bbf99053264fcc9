package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
)

var errNoIndex = problem(http.StatusServiceUnavailable, "unreachable", "the catalog was not read yet: nothing can be said about it")

// current returns the state, or answers why there is none to show.
func (s *Server) current(w http.ResponseWriter, r *http.Request) *state {
	now, err := s.shown(r.Context())
	if err != nil {
		if err != errPolicy { // that takes a person
			w.Header().Set("Retry-After", "1")
		}
		s.fail(w, r, err)
	}
	return now
}

// shown returns as much of the state as may be shown, to whoever made a request.
func (s *Server) shown(ctx context.Context) (*state, error) {
	now := s.state.Load()
	if now == nil {
		if err := s.policyFailure(); err != nil {
			return nil, err
		}
		return nil, errNoIndex
	}
	if err := s.usable(now); err != nil {
		return nil, err
	}
	return s.within(now, s.scopeOf(ctx)), nil
}

// get answers GET /v1/catalog/images/{name}.
func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	now := s.current(w, r)
	if now == nil {
		return
	}
	name := r.PathValue("name")
	if r.URL.RawQuery != "" {
		s.getPast(w, r, now, name)
		return
	}
	i := now.byName[name]
	if i == nil {
		s.fail(w, r, now.absent(name))
		return
	}
	if i.accesses != nil {
		i.accesses.Add(1)
	}
	s.send(w, r, i.answer())
}

// absent is why a name is not shown: the policy refuses it, or there is none.
func (s *state) absent(name string) error {
	if r := s.refused[name]; r != nil {
		return r.err
	}
	return absent(name)
}

func absent(name string) error {
	if err := entry.CheckName(name); err != nil {
		return err
	}
	return fmt.Errorf("entry %q: %w", name, entry.ErrNotFound)
}

// getPast answers for another state than the live one, which may be the same.
func (s *Server) getPast(w http.ResponseWriter, r *http.Request, now *state, name string) {
	values, err := parseValues(r.URL.RawQuery, nil, "version", "as-of")
	version, asOf := values.Get("version"), time.Time{}
	if err == nil {
		asOf, _, err = parseMoment(values, "as-of")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.computed(w, r, func(ctx context.Context) (any, error) {
		return s.past(ctx, now, pastEntry{name: name, version: version, asOf: asOf})
	})
}

// pastEntry names an entry in another state than the live one.
type pastEntry struct {
	name, version string
	catalog       string // label of the one that is meant; "" is the first that has the name
	asOf          time.Time
}

// past returns an entry in another state than the live one.
func (s *Server) past(ctx context.Context, now *state, p pastEntry) (entry.Item, error) {
	for _, f := range s.follower.followed {
		if p.catalog != "" && p.catalog != s.follower.label(f) || !s.scopeOf(ctx).sees(f.catalog.Reference(), p.name) {
			continue
		}
		view := f.last()
		if view == nil {
			return entry.Item{}, errNoIndex
		}
		item, err := view.Get(ctx, p.name, p.version, p.asOf)
		if errors.Is(err, entry.ErrNotFound) {
			continue
		}
		item.Catalog = s.follower.label(f)
		withoutRegistryWords(&item)
		if i := now.byKey[health.KeyOf(&item)]; i != nil && i.outline.Phase != entry.PhaseAvailable && p.asOf.IsZero() {
			health.Apply(&item, &i.status) // what is wrong with it, if it is the live revision
		}
		return item, err
	}
	if p.version != "" {
		return entry.Item{}, fmt.Errorf("entry %q, version %q: %w", p.name, p.version, entry.ErrNotFound)
	}
	return entry.Item{}, absent(p.name)
}

// history answers GET /v1/catalog/history, and that of one entry.
func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	if s.current(w, r) == nil {
		return
	}
	if _, err := parseValues(r.URL.RawQuery, nil); err != nil {
		s.fail(w, r, err)
		return
	}
	name := r.PathValue("name")
	s.computed(w, r, func(ctx context.Context) (any, error) {
		events, err := s.happened(ctx, name, "")
		if err == nil && name != "" && len(events) == 0 {
			err = absent(name)
		}
		return api.History{Items: events, Total: len(events)}, err
	})
}

// happened returns the events of a name, or of all for "", in the catalog with a label,
// or in all for "": oldest first.
func (s *Server) happened(ctx context.Context, name, label string) ([]entry.Event, error) {
	sc := s.scopeOf(ctx)
	events := []entry.Event{}
	for _, f := range s.follower.followed {
		if label != "" && label != s.follower.label(f) || name != "" && !sc.sees(f.catalog.Reference(), name) {
			continue
		}
		view := f.last()
		if view == nil {
			return nil, errNoIndex
		}
		found, err := view.History(ctx, name)
		if err != nil && !errors.Is(err, entry.ErrNotFound) {
			return nil, err
		}
		for _, event := range found {
			if !sc.sees(f.catalog.Reference(), event.Name) {
				continue
			}
			event.Catalog = s.follower.label(f)
			s.follower.withoutNames(sc, &event)
			events = append(events, event)
		}
	}
	slices.SortStableFunc(events, func(a, b entry.Event) int { return a.At.Compare(b.At.Time) })
	return events, nil
}

// computed answers what step returns, taking turns with others.
func (s *Server) computed(w http.ResponseWriter, r *http.Request, step func(context.Context) (any, error)) {
	a, err := s.compute(r, func(ctx context.Context) (*body, error) {
		value, err := step(ctx)
		if err != nil {
			return nil, err
		}
		body, err := marshal(value)
		return newBody(body), err
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.send(w, r, a)
}
