package server

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/health"
)

// recordWithin bounds one record of statuses, that of the shutdown too.
const recordWithin = 8 * time.Second

// record stores what is to outlive the server every now and then, and once
// more when ctx ends: the statuses in the registry, and what is served on disk.
func (s *Server) record(ctx context.Context) {
	for {
		every := s.options.Record
		timer := time.NewTimer(every*9/10 + rand.N(every/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
			defer cancel()
			s.keep()
			s.saveStatuses(last)
			return
		case <-timer.C:
			s.keep()
			s.saveStatuses(ctx)
		}
	}
}

// saveStatuses stores the statuses of each catalog, where there is a store;
// else the accesses are counted in memory only.
func (s *Server) saveStatuses(ctx context.Context) {
	if s.state.Load() == nil || s.monitor == nil {
		return // nothing is known
	}
	for n, one := range s.follower.followed {
		label := s.follower.label(one)
		if n >= len(s.options.Statuses) {
			_, _ = s.monitor.Merge(label, nil) // there is nowhere to record what it returns
			continue
		}
		err := s.options.Statuses[n].SaveStatuses(ctx, func(recorded map[string]*entry.Status) []*entry.Status {
			merged, news := s.monitor.Merge(label, recorded)
			if !news {
				return nil
			}
			return merged
		})
		if err != nil {
			s.log.Warn("the statuses are not recorded", "catalog", one.catalog.Reference(), "error", err.Error())
		}
	}
	s.follower.statusChanged(health.Key{})
}
