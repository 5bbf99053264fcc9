package ocilog

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// simulated is the catalog of the simulation, in normal form.
const simulated = "registry.example.com/simulated"

// actor is somebody who works with a repository: one process after another.
type actor struct {
	schedule   *schedule
	repository *repository
	index      int
	name       string
	rng        *rand.Rand
	skew       time.Duration // of its clock
	hostile    bool          // has no key, and no log
	writes     bool
	copier     bool // into other repositories
	prunes     bool // deletes what is superseded
	restarts   bool // goes on after a crash
	keeps      *keeper
	turns      int // operations to do

	listed []string // by the registry, beside reading back what was appended last

	process *process
	kill    context.CancelFunc // ends the process
	serial  int                // of its publications
}

// keeper is a state directory and what a reader with it was told, by name: it
// must not be told less. Several actors may share it.
type keeper struct {
	state   *State
	cache   *Cache
	told    map[string]revision.Tag
	forgets int // how often it was told to forget
}

// process is a Log with the state it began with.
type process struct {
	log     *Log
	keeps   *keeper
	told    map[string]revision.Tag
	forgets int // of keeps, when it began
}

// cast makes the actors: two or three writers, two readers, an adversary.
func (s *schedule) cast() {
	skews := []time.Duration{0, 0, 0, time.Millisecond, 3 * time.Second, -3 * time.Second, -time.Minute}
	add := func(name string) *actor {
		a := &actor{schedule: s, repository: s.repository, index: len(s.actors), name: name, rng: rand.New(rand.NewPCG(s.seed, uint64(2+len(s.actors))))}
		a.skew, a.restarts, a.turns = skews[a.rng.IntN(len(skews))], a.rng.IntN(3) > 0, 2+a.rng.IntN(4)
		s.actors = append(s.actors, a)
		return a
	}
	for i := range 2 + s.rng.IntN(2) {
		a := add(fmt.Sprintf("writer %d", i+1))
		a.writes, a.keeps = true, s.newKeeper()
	}
	for i := range 2 {
		a := add(fmt.Sprintf("reader %d", i+1))
		switch s.rng.IntN(5) {
		case 0: // none: it knows what its process knows
		case 1:
			a.keeps = s.actors[s.rng.IntN(a.index)].keeps
		default:
			a.keeps = s.newKeeper()
		}
	}
	if s.setting.adversary {
		a := add("adversary")
		a.hostile, a.turns = true, 3+s.rng.IntN(8)
	}
}

func (s *schedule) newKeeper() *keeper {
	s.states++
	k := &keeper{state: NewState(filepath.Join(s.dir, fmt.Sprint("state", s.states))), told: map[string]revision.Tag{}}
	if s.setting.cached {
		k.cache = NewCache(filepath.Join(s.dir, fmt.Sprint("cache", s.states)), 0)
	}
	return k
}

// run is the life of an actor.
func (a *actor) run(ctx context.Context) {
	for a.turns > 0 && ctx.Err() == nil {
		within, kill := context.WithCancel(ctx)
		a.kill, a.process = kill, nil
		for a.turns > 0 && within.Err() == nil {
			a.turn(within)
		}
		kill()
		if !a.restarts {
			return
		}
	}
}

// turn does one operation.
func (a *actor) turn(ctx context.Context) {
	if a.schedule.wait(ctx, a, "begins", func() error { return nil }) != nil {
		return
	}
	a.turns--
	switch {
	case a.hostile:
		a.attack(ctx)
		return
	case a.prunes:
		a.prune(ctx)
		return
	case a.process == nil || a.keeps != nil && a.rng.IntN(5) < 2:
		a.start()
	case a.rng.IntN(5) == 0:
		a.process.log.Release()
	}
	name := a.schedule.names[a.rng.IntN(len(a.schedule.names))]
	roll := a.rng.IntN(100)
	if a.writes && a.schedule.setting.rush {
		roll = roll * 2 / 5
	}
	switch {
	case a.copier && roll < 75:
		a.copyAnywhere(ctx)
	case a.writes && roll < 15:
		a.publishShared(ctx, name)
	case a.writes && roll < 30:
		a.edit(ctx, name)
	case a.writes && roll < 45:
		_ = a.publish(ctx, name)
	case a.writes && roll < 60:
		_ = a.remove(ctx, name)
	case a.writes && roll < 72:
		_ = a.acceptLoss(ctx, name)
	case a.writes && roll < 80:
		a.snapshot(ctx)
	case !a.writes && roll < 3:
		a.forget(ctx, name)
	case !a.writes && roll < 8 && a.keeps != nil:
		a.rewriteState(ctx)
	case roll < 30:
		a.get(ctx, name)
	default:
		_, _ = a.list(ctx)
	}
}

// start begins a process.
func (a *actor) start() {
	s := a.schedule
	options := Options{Parallel: 1, Now: func() time.Time { return s.now().Add(a.skew) }}
	if s.setting.hashed {
		options.NormalReference, options.Whole = asIs, 1
	}
	if s.setting.policy {
		options.HasEntrySignatures = func(_ context.Context, revision *revision.Revision) bool { return a.repository.signed[revision.Digest] }
	}
	p := &process{keeps: a.keeps, told: map[string]revision.Tag{}}
	if a.keeps != nil {
		options.State, options.Cache = a.keeps.state, a.keeps.cache
		p.told, p.forgets = maps.Clone(a.keeps.told), a.keeps.forgets
	}
	s.note("%s: starts a process", a.name)
	p.log = New(&connection{schedule: s, actor: a, repository: a.repository}, a.repository.id, options)
	a.process = p
}

// tell notes that a process, and its state, know this head of a name.
func (p *process) tell(head revision.Tag) {
	if p.told[head.Name].Compare(head) < 0 {
		p.told[head.Name] = head
	}
	if p.keeps != nil && p.keeps.forgets == p.forgets && p.keeps.told[head.Name].Compare(head) < 0 {
		p.keeps.told[head.Name] = head
	}
}

func (a *actor) forget(ctx context.Context, name string) {
	a.schedule.note("%s: forgets %s", a.name, name)
	if err := a.process.log.Forget(ctx, name); err != nil {
		a.schedule.fail("%s: %v", a.name, err)
		return
	}
	delete(a.process.told, name)
	if k := a.keeps; k != nil {
		delete(k.told, name)
		k.forgets++
		a.process.forgets = k.forgets
	}
}

// rewriteState makes the state's file small, as happens when it has grown.
func (a *actor) rewriteState(ctx context.Context) {
	a.schedule.note("%s: rewrites its state", a.name)
	state := a.keeps.state
	err := state.locked(ctx, a.repository.id, func() error { return state.rewrite(a.repository.id, state.read(a.repository.id)) })
	if err != nil {
		a.schedule.fail("%s: rewrite the state: %v", a.name, err)
	}
}
