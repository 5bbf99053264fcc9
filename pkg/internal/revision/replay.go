package revision

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Replay finds out which revision of each name decides (SPEC section 3.3),
// asking for as few revisions as possible: of each name the newest, and an
// older one only where the newer turned out not to be a revision. It is not
// safe for concurrent use.
type Replay struct {
	open    map[string]*undecided
	decided map[string]*Revision
}

// undecided is a name that is still open.
type undecided struct {
	tags  []Tag // in log order: those that may decide
	asked int   // how many of the newest are asked for at a time
}

// maxAsked bounds the tags of one name that are asked for at a time.
const maxAsked = 256

// NewReplay starts a replay of tags, which are in log order, as the log was
// at asOf; a zero asOf means all of it.
func NewReplay(tags []Tag, asOf time.Time) *Replay {
	r := &Replay{open: map[string]*undecided{}, decided: map[string]*Revision{}}
	for _, tag := range tags {
		if !asOf.IsZero() && tag.Millis > asOf.UnixMilli() {
			continue
		}
		if r.open[tag.Name] == nil {
			r.open[tag.Name] = &undecided{asked: 1}
		}
		r.open[tag.Name].tags = append(r.open[tag.Name].tags, tag)
	}
	return r
}

// Undecided returns the tags whose revisions decide next, in log order: of each
// name that is still open the newest; of one whose newest turned out not to be
// revisions, some more at a time, twice as many with each round. When it is
// empty, the replay is complete.
func (r *Replay) Undecided() []Tag {
	next := make([]Tag, 0, len(r.open))
	for _, name := range r.open {
		next = append(next, name.next()...)
	}
	slices.SortFunc(next, Tag.Compare)
	return next
}

func (u *undecided) next() []Tag { return u.tags[max(0, len(u.tags)-u.asked):] }

// Decide says what the undecided tags hold. One that is missing, or nil, is not
// a revision: then the next older one decides.
func (r *Replay) Decide(found map[Tag]*Revision) {
	for name, u := range r.open {
		next := u.next()
		u.tags, u.asked = u.tags[:len(u.tags)-len(next)], min(2*u.asked, maxAsked)
		for _, tag := range slices.Backward(next) {
			if revision := found[tag]; revision != nil {
				r.decided[name] = revision
				break
			}
		}
		if r.decided[name] != nil || len(u.tags) == 0 {
			delete(r.open, name)
		}
	}
}

// Heads returns the revisions that decided, by name: publications, removals,
// and those of a later format.
func (r *Replay) Heads() []*Revision {
	return slices.SortedFunc(maps.Values(r.decided), func(a, b *Revision) int { return strings.Compare(a.Tag.Name, b.Tag.Name) })
}

// Head returns the revision that decided name, or nil.
func (r *Replay) Head(name string) *Revision { return r.decided[name] }

// Current returns, of one name's revisions in log order, the publications
// since the last removal, oldest first: those that can still be read by
// version.
func Current(revisions []*Revision) []*Revision {
	var current []*Revision
	for _, revision := range revisions {
		switch revision.Tag.Op {
		case OpRemove:
			current = nil
		case OpPublish:
			current = append(current, revision)
		}
	}
	return current
}
