package health_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

// lab is a monitor in simulated time over registries that a test commands.
type lab struct {
	*health.Monitor
	mu     sync.Mutex
	answer func(name string) error
	delay  time.Duration // of every answer
	probes []probe
	now    int // probes under way
	most   int
}

type probe struct {
	name string
	at   time.Time
}

func newLab(t *testing.T, options health.Options, items ...entry.Item) *lab {
	l := &lab{answer: func(string) error { return nil }, delay: 50 * time.Millisecond}
	options.Probe = func(ctx context.Context, item *entry.Item) error {
		l.mu.Lock()
		l.probes = append(l.probes, probe{item.Name, time.Now()})
		l.now++
		l.most = max(l.most, l.now)
		answer, delay := l.answer, l.delay
		l.mu.Unlock()
		time.Sleep(delay) // simulated
		l.mu.Lock()
		l.now--
		l.mu.Unlock()
		return answer(item.Name)
	}
	l.Monitor = health.New(options)
	l.Follow(func(yield func(*entry.Item) bool) {
		for i := range items {
			if !yield(&items[i]) {
				return
			}
		}
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func (l *lab) answers(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = func(string) error { return err }
}

func (l *lab) during(d time.Duration) []probe {
	l.mu.Lock()
	l.probes = nil
	l.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.probes)
}

func image(i int, host string) entry.Item {
	at := entry.NewTime(time.Now())
	return entry.Item{Name: fmt.Sprintf("image-%05d", i), RegistryURL: host + "/os/image:1", Digest: "sha256:1", Revision: "sha256:r1",
		Phase: entry.PhaseAvailable, PublishedAt: at, LastVerified: at}
}

func images(count int, host string) (all []entry.Item) {
	for i := range count {
		all = append(all, image(i, host))
	}
	return all
}

func (l *lab) status(t *testing.T, item entry.Item) entry.Status {
	t.Helper()
	s, ok := l.Status(health.KeyOf(&item))
	if !ok {
		t.Fatalf("%s is not watched", item.Name)
	}
	return s
}

var errAway = fmt.Errorf("resolve: %w: connection refused", entry.ErrUnreachable)

func TestProbesSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, health.Options{PerHost: 3}, images(6000, "registry.example.com")...)
		probes := l.during(2 * time.Hour)
		if len(probes) != 12000 {
			t.Errorf("%d probes of 6000 entries in two hours, want 12000", len(probes))
		}
		start := probes[0].at.Truncate(time.Minute)
		perMinute := map[int]int{}
		for _, p := range probes {
			perMinute[int(p.at.Sub(start)/time.Minute)]++
		}
		for minute := 1; minute < 119; minute++ {
			if n := perMinute[minute]; n < 50 || n > 160 {
				t.Errorf("%d probes in minute %d, want about 100", n, minute)
			}
		}
		if l.most > 3 {
			t.Errorf("%d probes of one registry at once, want at most 3", l.most)
		}
	})
}

// A registry that goes away for hours: the entries that were asked are
// Unavailable, the others keep their phase and are stale; none is Failed,
// because the breaker opens before any failed five times.
func TestRegistryAwayForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := images(200, "registry.example.com")
		other := image(999, "other.example.com")
		l := newLab(t, health.Options{}, append(items, other)...)
		l.during(time.Hour)
		l.answers(errAway)
		probes := l.during(6 * time.Hour)
		asked := 0
		for _, p := range probes {
			if p.name != other.Name {
				asked++
			}
		}
		if asked < 60 || asked > 5+6*12+1 {
			t.Errorf("%d probes reached the registry in six hours, want the first 5 and one every 5 minutes", asked)
		}
		if state := l.Breakers()["registry.example.com"]; state == "closed" {
			t.Errorf("the breaker is %s", state)
		}
		unavailable, stale := 0, 0
		for _, item := range items {
			s := l.status(t, item)
			switch {
			case s.Phase == entry.PhaseFailed:
				t.Fatalf("%s is Failed: %+v", item.Name, s)
			case s.Phase == entry.PhaseUnavailable:
				unavailable++
				if s.Reason != health.ReasonRegistryUnreachable || s.Failures != 1 {
					t.Errorf("%+v", s)
				}
			}
			if s.StaleSince != nil {
				stale++
			}
			if time.Since(s.LastVerified.Time) < 6*time.Hour-time.Minute {
				t.Errorf("%s was last verified %s ago", item.Name, time.Since(s.LastVerified.Time))
			}
		}
		if unavailable < 1 || unavailable > 5 || stale < 195 {
			t.Errorf("%d are unavailable and %d stale, want at most 5 and nearly all", unavailable, stale)
		}
		if s := l.status(t, other); s.Phase != entry.PhaseFailed || s.Failures < 5 {
			t.Errorf("the only image of another registry, asked while its breaker was closed: %+v", s)
		}
		l.answers(nil)
		l.during(2 * time.Hour)
		for _, item := range append(items, other) {
			if s := l.status(t, item); s.Phase != entry.PhaseAvailable || s.Failures != 0 || s.StaleSince != nil || s.Reason != "" {
				t.Fatalf("after it came back: %+v", s)
			}
		}
		if state := l.Breakers()["registry.example.com"]; state != "closed" {
			t.Errorf("the breaker is %s", state)
		}
	})
}

// Five failures in a row that the breaker let through make an entry Failed; the
// waits between them double.
func TestFiveFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := image(1, "registry.example.com")
		l := newLab(t, health.Options{}, item)
		l.during(time.Hour)
		l.answers(&registry.Error{Cause: registry.CauseThrottled, Err: fmt.Errorf("%w: 429", entry.ErrUnreachable)})
		var at []time.Time
		for range 4 * 60 {
			for range l.during(time.Minute) {
				at = append(at, time.Now())
			}
			s := l.status(t, item)
			want := entry.PhaseUnavailable
			if len(at) >= 5 {
				want = entry.PhaseFailed
			}
			if len(at) > 0 && s.Phase != want {
				t.Fatalf("after %d failures: %+v", len(at), s)
			}
			if len(at) > 0 && (s.Reason != health.ReasonThrottled || s.Failures != min(len(at), 5)) {
				t.Fatalf("after %d failures: %+v", len(at), s)
			}
		}
		if len(at) < 6 || at[1].Sub(at[0]) > 6*time.Minute || at[4].Sub(at[3]) < 15*time.Minute {
			t.Errorf("probes at %v", at)
		}
	})
}

func TestWhatTheRegistrySaysCounts(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason string
	}{
		{fmt.Errorf("x: %w", entry.ErrNotFound), health.ReasonManifestUnknown},
		{fmt.Errorf("x: %w", entry.ErrUnauthorized), health.ReasonUnauthorized},
		{fmt.Errorf("x: %w", entry.ErrInvalid), health.ReasonInvalidManifest},
	} {
		synctest.Test(t, func(t *testing.T) {
			items := images(10, "registry.example.com")
			l := newLab(t, health.Options{}, items...)
			l.answers(c.err)
			l.during(time.Hour)
			for _, item := range items {
				if s := l.status(t, item); s.Phase != entry.PhaseFailed || s.Reason != c.reason || s.StaleSince != nil {
					t.Fatalf("%v: %+v", c.err, s)
				}
			}
			if state := l.Breakers()["registry.example.com"]; state != "closed" {
				t.Errorf("%v: the breaker is %s: a registry that answers is not away", c.err, state)
			}
			l.answers(nil)
			l.during(time.Hour)
			if s := l.status(t, items[0]); s.Phase != entry.PhaseAvailable {
				t.Errorf("the image came back: %+v", s)
			}
		})
	}
}

// Two monitors that start at different times come to the same statuses.
func TestReplicasAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := images(50, "registry.example.com")
		a := newLab(t, health.Options{}, items...)
		time.Sleep(17 * time.Minute)
		b := newLab(t, health.Options{}, items...)
		b.delay = 3 * time.Second // as if it were far away
		a.answers(fmt.Errorf("x: %w", entry.ErrNotFound))
		b.answers(fmt.Errorf("x: %w", entry.ErrNotFound))
		time.Sleep(3 * time.Hour)
		a.answers(nil)
		b.answers(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		for key, s := range a.Statuses() {
			if other, _ := b.Status(key); other != s {
				t.Errorf("%+v and %+v", s, other)
			}
		}
	})
}

func TestLabelOverridesTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		often, never, odd := image(1, "a.example.com"), image(2, "a.example.com"), image(3, "a.example.com")
		often.Labels = map[string]string{"verification-interval": "10m"}
		never.Labels = map[string]string{"verification-interval": "24h"}
		odd.Labels = map[string]string{"verification-interval": "0s"}
		l := newLab(t, health.Options{}, often, never, odd)
		count := map[string]int{}
		for _, p := range l.during(24 * time.Hour) {
			count[p.name]++
		}
		if count[often.Name] != 144 || count[never.Name] != 1 || count[odd.Name] != 24 {
			t.Errorf("probes in a day: %v", count)
		}
	})
}

// A clock that jumps, by days or back, does not make everything due at once,
// and stops nothing.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{47*time.Hour + 13*time.Minute, -47 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var offset atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
			l := newLab(t, health.Options{Now: now}, images(600, "a.example.com")...)
			l.during(time.Hour)
			offset.Store(int64(jump))
			if probes := l.during(10 * time.Minute); len(probes) < 60 || len(probes) > 160 {
				t.Errorf("jump of %s: %d probes of 600 in ten minutes, want about 100", jump, len(probes))
			}
		})
	}
}

func TestProbeNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := image(1, "a.example.com")
		item.Labels = map[string]string{"verification-interval": "24h"}
		l := newLab(t, health.Options{}, item)
		l.answers(fmt.Errorf("x: %w", entry.ErrNotFound))
		if !l.ProbeNow(t.Context(), health.KeyOf(&item)) {
			t.Error("it is not probed")
		}
		if s := l.status(t, item); s.Phase != entry.PhaseFailed {
			t.Errorf("%+v", s)
		}
		if l.ProbeNow(t.Context(), health.Key{Name: "none"}) {
			t.Error("what is not watched is probed")
		}
	})
}

// However many probes are asked for at once, a registry gets a few at a time.
func TestProbesOfAHostAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := images(40, "a.example.com")
		l := newLab(t, health.Options{PerHost: 3}, items...)
		var asked sync.WaitGroup
		for i := range items {
			asked.Go(func() { l.ProbeNow(t.Context(), health.KeyOf(&items[i])) })
		}
		asked.Wait()
		if l.most > 3 || len(l.probes) < 40 {
			t.Errorf("%d probes, %d at once, want 3", len(l.probes), l.most)
		}
	})
}

func TestMergeAddsAccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := image(1, "a.example.com")
		l := newLab(t, health.Options{}, item)
		l.Accesses(health.KeyOf(&item)).Add(3)
		recorded := map[string]*entry.Status{item.Name: {Name: item.Name, Revision: "sha256:old", Phase: entry.PhaseFailed, Accesses: 10}}
		merged, news := l.Merge("", recorded)
		if !news || len(merged) != 1 || merged[0].Accesses != 13 || merged[0].Phase != entry.PhaseAvailable {
			t.Errorf("%+v, news %t", merged[0], news)
		}
		if again, _ := l.Merge("", recorded); again[0].Accesses != 13 || l.status(t, item).Accesses != 10 {
			t.Errorf("nothing was recorded, merged again: %+v, status %+v", again[0], l.status(t, item))
		}
		l.Follow(func(yield func(*entry.Item) bool) { yield(&item) }, map[health.Key]*entry.Status{health.KeyOf(&item): merged[0]})
		l.Recorded("")
		again, news := l.Merge("", map[string]*entry.Status{item.Name: merged[0]})
		if news || again[0].Accesses != 13 || l.status(t, item).Accesses != 13 {
			t.Errorf("recorded, and merged again: %+v, news %t", again[0], news)
		}
	})
}

// Anyone may ask for a probe at any time: that makes no five failures in a row.
func TestProbesOutOfTurnCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := image(1, "a.example.com")
		l := newLab(t, health.Options{}, item)
		l.answers(errAway)
		for range 4 {
			l.ProbeNow(t.Context(), health.KeyOf(&item))
		}
		if s := l.status(t, item); s.Phase != entry.PhaseUnavailable || s.Failures != 1 {
			t.Errorf("asked four times at once: %+v, want one failure", s)
		}
		l.answers(nil)
		l.ProbeNow(t.Context(), health.KeyOf(&item))
		if s := l.status(t, item); s.Phase != entry.PhaseAvailable || s.Failures != 0 {
			t.Errorf("answered: %+v", s)
		}
	})
}

// A registry that takes its time keeps the probes of no other waiting, and its
// own entries are not left out.
func TestSlowRegistryHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, fast := images(1500, "slow.example.com"), images(100, "fast.example.com")
		for i := range fast {
			fast[i].Name = "fast-" + fast[i].Name
		}
		begun := time.Now()
		probed := map[string]int{}
		var mu sync.Mutex
		m := health.New(health.Options{Probe: func(ctx context.Context, item *entry.Item) error {
			if strings.HasPrefix(item.RegistryURL, "slow.") {
				time.Sleep(20 * time.Second) // simulated; 720 an hour
			}
			mu.Lock()
			defer mu.Unlock()
			probed[item.Name]++
			return nil
		}})
		m.Follow(func(yield func(*entry.Item) bool) {
			for _, all := range [][]entry.Item{slow, fast} {
				for i := range all {
					if !yield(&all[i]) {
						return
					}
				}
			}
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		time.Sleep(6 * time.Hour)
		cancel()
		<-done // nobody probes any more
		for i := range fast {
			if n := probed[fast[i].Name]; n < 5 {
				t.Errorf("%s: %d probes in six hours, want one an hour", fast[i].Name, n)
			}
		}
		for i := range slow {
			s, _ := m.Status(health.KeyOf(&slow[i]))
			n := probed[slow[i].Name]
			if n == 0 {
				t.Fatalf("%s: never probed", slow[i].Name)
			}
			if age := time.Since(s.LastVerified.Time); age > 4*time.Hour || s.LastVerified.Sub(begun) < 0 {
				t.Fatalf("%s: %d probes, verified %s ago by its status, want the time it was due last", slow[i].Name, n, age)
			}
		}
	})
}

// A status that only says of failures is recorded, too.
func TestFailuresSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := image(1, "a.example.com")
		l := newLab(t, health.Options{}, item)
		l.answers(errAway)
		l.during(2 * time.Hour)
		merged, _ := l.Merge("", nil)
		before := l.status(t, item)
		if before.Failures == 0 || before.LastVerified != item.PublishedAt {
			t.Fatalf("%+v", before)
		}
		if after := health.Initial(&item, merged[0]); after != before {
			t.Errorf("after a restart %+v, before %+v", after, before)
		}
	})
}

func TestBreakersOfRegistriesLongGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []entry.Item{image(1, "a.example.com"), image(2, "b.example.com")}
		l := newLab(t, health.Options{}, all...)
		l.during(2 * time.Hour)
		l.Follow(func(yield func(*entry.Item) bool) { yield(&all[1]) }, nil)
		if states := l.Breakers(); len(states) != 1 || states["b.example.com"] != "closed" {
			t.Errorf("%v, want that of the one registry left", states)
		}
	})
}
