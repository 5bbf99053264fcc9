package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

// recordWithin bounds the last record of statuses, that of the shutdown.
const recordWithin = 8 * time.Second

// record saves every now and then, until ctx ends.
func (s *Server) record(ctx context.Context) {
	for {
		every := s.options.Record
		if pause.For(ctx, every-every/10+rand.N(every/5+1)) != nil {
			return
		}
		s.save(ctx)
	}
}

// save stores what is to outlive the server: what is served on disk, and the
// statuses of each catalog in its registry, where there is a store for them.
func (s *Server) save(ctx context.Context) {
	s.writeCacheFile()
	if !s.options.RecordStatuses || s.state.Load() == nil || s.monitor == nil {
		return // nothing is known, or to be recorded
	}
	var all sync.WaitGroup
	for _, one := range s.follower.followed {
		all.Go(func() { s.saveStatuses(ctx, one) })
	}
	all.Wait()
}

func (s *Server) saveStatuses(ctx context.Context, one *followed) {
	label := s.follower.label(one)
	news := false
	err := one.catalog.SaveStatuses(ctx, func(recorded map[string]*entry.Status) (merged []*entry.Status) {
		if merged, news = s.monitor.Merge(label, recorded); !news {
			return nil
		}
		return merged
	})
	if err != nil {
		s.log.Warn("the statuses are not recorded", "catalog", one.catalog.Reference(), "error", err.Error())
		return
	}
	if news {
		s.monitor.Recorded(label)
		s.follower.statusChanged(false)
	}
}
