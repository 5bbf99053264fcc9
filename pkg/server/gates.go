package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

// closeDoors has each catalog open only what its gate lets through.
func (s *Server) closeDoors(sources []source) error {
	if s.options.Policy != nil && len(s.options.Allow) == 0 {
		references := make([]string, len(sources))
		for n, c := range sources {
			references[n] = c.Reference()
		}
		s.vouched = gate.NewHosts(references...)
	}
	s.gates = map[string]*gate.Gate{}
	for _, c := range sources {
		made, err := gate.New(c.Reference(), s.options.Allow, s.vouched)
		if err != nil {
			return &registry.Error{Option: "Allow", Err: err}
		}
		s.gates[c.Reference()] = made
		c.SetGate(made)
	}
	if len(sources) == 1 {
		s.gates[""] = s.gates[sources[0].Reference()]
	}
	return nil
}

// allowed reports why the server does not open a reference that is, or is to be,
// in an entry of the catalog with a label.
func (s *Server) allowed(label, reference string) error {
	return s.gates[label].Check(reference)
}

// mayPublish reports why the server does not open what is to be published.
func (s *Server) mayPublish(references ...string) error {
	for _, reference := range references {
		if err := s.allowed(s.follower.label(s.follower.followed[0]), reference); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
	}
	return nil
}

// mayProbe is health.Options.Allow.
func (s *Server) mayProbe(item *entry.Item) error { return s.allowed(item.Catalog, item.RegistryURL) }

// probeImage is health.Options.Probe: it asks by way of the catalog that the entry
// is in, which opens what the server may.
func (s *Server) probeImage(ctx context.Context, item *entry.Item) error {
	for _, one := range s.follower.followed {
		if s.follower.label(one) == item.Catalog {
			return one.catalog.Probe(ctx, item)
		}
	}
	return fmt.Errorf("catalog %q: %w on this server", item.Catalog, entry.ErrNotFound)
}

// logNotAllowed tells the log how many of new entries are not probed: their phase
// stays the one that they were published or recorded with.
func (s *Server) logNotAllowed(entries []*servedEntry) {
	count, first := 0, error(nil)
	for _, i := range entries {
		if i.finding != nil && i.finding.Err != nil {
			continue // it is not shown, and said to be refused
		}
		if err := s.allowed(i.outline.Catalog, i.subject.reference); err != nil {
			if count++; first == nil {
				first = fmt.Errorf("%s: %w", i.name(), err)
			}
		}
	}
	if count > 0 {
		s.log.Warn("images are not probed: this server may not open them", slog.Int("entries", count), slog.String("first", first.Error()))
	}
}

// probeFailed writes down what a probe met, in the words of whoever answered.
func (s *Server) probeFailed(key health.Key, err error, news bool) {
	write := s.log.Debug
	if news {
		write = s.log.Warn
	}
	write("probe failed", slog.String("catalog", key.Catalog), slog.String("name", key.Name), slog.String("error", err.Error()))
}
