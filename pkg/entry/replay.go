package entry

import (
	"slices"
	"strings"
	"time"
)

// Replay finds out which revision of each name decides (SPEC section 3.3),
// asking for as few revisions as possible: of each name the newest, and an
// older one only where the newer turned out not to be a revision. It is not
// safe for concurrent use.
type Replay struct {
	open    map[string][]Tag // undecided names: their tags in log order
	decided map[string]*Revision
}

// NewReplay starts a replay of tags, which are in log order, as the log stood
// at asOf; a zero asOf means all of it.
func NewReplay(tags []Tag, asOf time.Time) *Replay {
	r := &Replay{open: map[string][]Tag{}, decided: map[string]*Revision{}}
	for _, tag := range tags {
		if asOf.IsZero() || tag.Millis <= asOf.UnixMilli() {
			r.open[tag.Name] = append(r.open[tag.Name], tag)
		}
	}
	return r
}

// Undecided returns the tags whose revisions decide next, one for each name
// that is still open. When it is empty, the replay is complete.
func (r *Replay) Undecided() []Tag {
	next := make([]Tag, 0, len(r.open))
	for _, tags := range r.open {
		next = append(next, tags[len(tags)-1])
	}
	slices.SortFunc(next, Tag.Compare)
	return next
}

// Decide says what one of the undecided tags holds; nil means that it is not a
// revision, so that the next older one decides.
func (r *Replay) Decide(tag Tag, revision *Revision) {
	tags := r.open[tag.Name]
	if len(tags) == 0 || tags[len(tags)-1] != tag {
		return
	}
	switch {
	case revision != nil:
		r.decided[tag.Name] = revision
		delete(r.open, tag.Name)
	case len(tags) == 1:
		delete(r.open, tag.Name)
	default:
		r.open[tag.Name] = tags[:len(tags)-1]
	}
}

// Heads returns the revisions that decided, by name: publications, removals,
// and those of a later format.
func (r *Replay) Heads() []*Revision {
	return r.heads(func(*Revision) bool { return true })
}

// heads returns some of the revisions that decided, by name.
func (r *Replay) heads(wanted func(*Revision) bool) []*Revision {
	var found []*Revision
	for _, revision := range r.decided {
		if wanted(revision) {
			found = append(found, revision)
		}
	}
	slices.SortFunc(found, func(a, b *Revision) int { return strings.Compare(a.Tag.Name, b.Tag.Name) })
	return found
}

// Live returns the publications that stand, by name. Names whose deciding
// revision is of a later format are in newer instead.
func (r *Replay) Live() (live, newer []*Revision) {
	for _, revision := range r.Heads() {
		switch {
		case revision.Tag.Op != OpPublish:
		case revision.Newer != "":
			newer = append(newer, revision)
		default:
			live = append(live, revision)
		}
	}
	return live, newer
}

// Removed returns the removals that stand, by name.
func (r *Replay) Removed() []*Revision {
	return r.heads(func(revision *Revision) bool { return revision.Tag.Op == OpRemove })
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
