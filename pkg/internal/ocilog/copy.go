package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// A copy is the union of two logs (SPEC section 20). What is written first leaves no
// moment at which a reader of the destination is shown what another revision, which
// stands at the source, has superseded or removed.

// CopyOptions say what of a log is copied, and what is done beside. The zero value
// copies all of it.
type CopyOptions struct {
	// Select reports whether a name is copied; nil selects all of them, and the statuses.
	// Names that the destination has are copied whatever it says.
	Select func(name string) bool
	// Versions is how many publications of a name are copied, the newest first, with the
	// removals between them; 0 is all. What decides a name and its last removal are
	// copied whatever Versions and Since say.
	Versions int
	// Since leaves out what is older; the zero time leaves out nothing.
	Since time.Time
	// Refuse says why nothing of a name is to be copied, by what decides it; nil refuses
	// none. It may be called from several goroutines at once.
	Refuse func(ctx context.Context, head *revision.Revision) error
	// Before is called before a revision gets its tag: for its image and signatures. An
	// error keeps back the revision, and what would follow of its name. It may be called
	// from several goroutines at once; nil does nothing.
	Before func(ctx context.Context, item *CopyItem) error
	// Late is called for each head that the destination has already, with those of its
	// signatures that snapshots of the source carry and snapshots of the destination do
	// not. It may be called from several goroutines at once; nil does nothing.
	Late func(ctx context.Context, item *CopyItem) error
	// Base reports whether what the destination goes on from has a revision: it counts
	// as present, and the destination is not asked for it. nil has none.
	Base func(tag revision.Tag) bool
	// Renew reports whether a head that Base has is copied all the same, since what is
	// beside it is new: these signatures are at hand. nil renews none.
	Renew func(head *revision.Revision, signatures []jsontext.Value) bool
	// Copied is told of each revision once the destination shows it. It may be called
	// from several goroutines at once; nil ignores them.
	Copied func(tag revision.Tag)
	// Parallel bounds the revisions that are copied at once; 0 is what the log of the
	// destination has for its requests.
	Parallel int
}

// CopyItem is a revision that is about to be copied. It is read-only.
type CopyItem struct {
	Revision *revision.Revision // one of a later format has Later, and neither document nor removal
	Manifest []byte             // its exact bytes
	// Signatures are those that snapshots and the cache of the source have. They prove
	// nothing, and none at all says nothing.
	Signatures []jsontext.Value
	Carried    bool // a snapshot of the source has the revision
	// Signed: snapshots of the source carry signatures, of this revision or of others.
	Signed bool

	put func(context.Context) error
}

// PutUntagged puts the revision into the destination without its tag, where no reader
// sees it, for signatures to refer to.
func (i *CopyItem) PutUntagged(ctx context.Context) error { return i.put(ctx) }

// CopyPlan says what a copy would write.
type CopyPlan struct {
	Names  []*CopyName  // those that are selected, in text order
	Status revision.Tag // of the status artifact that is copied; zero for none

	from    *View
	to      *Log
	view    *View // of the destination
	options CopyOptions
	have    map[revision.Tag]bool // that the destination lists, or its base has
	base    map[revision.Tag]bool // those of them that its base has
	steps   [copySteps][]revision.Tag
	byName  map[string]*CopyName
}

// CopyName is what is copied of a name.
type CopyName struct {
	Name string
	Head *revision.Revision // decides it at the source; nil where nothing is certain
	// Write are the tags that the destination lacks, in the order they are written in.
	// Some of them may turn out to be no revisions.
	Write   []revision.Tag
	Present int   // tags that it has already
	Kept    error // why nothing of it is copied; nil where it is

	tags   []revision.Tag         // at the source, in log order
	first  [copyRest]revision.Tag // by step; zero for none
	floor  revision.Tag           // nothing else before it is copied
	lost   revision.Tag           // a later removal than the last one, of which nobody knows what it was; zero for none
	wanted []revision.Tag         // first, and the rest, newest first
}

// A copy writes in steps: nothing of a step begins before the one before it is done.
const (
	copyHeads    = iota
	copyNear     // what decides for readers to whom the head is dated too far ahead
	copyRemovals // the last ones
	copyRest     // newest first
	copySteps
)

// PlanCopy finds out what a copy of one log into another would write (SPEC section 20).
// Nothing is written yet.
func PlanCopy(ctx context.Context, from *View, to *Log, options CopyOptions) (*CopyPlan, error) {
	view, err := to.ReadIncomplete(ctx) // what was lost there comes back, if anything does
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	if options.Parallel <= 0 {
		options.Parallel = to.options.Parallel
	}
	p := &CopyPlan{from: from, to: to, view: view, options: options, have: map[revision.Tag]bool{}, byName: map[string]*CopyName{}}
	for _, text := range view.all {
		if tag, ok := revision.ParseTag(text); ok {
			p.have[tag] = true
		}
	}
	heads, err := from.Heads(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	p.selectNames(heads)
	for _, step := range []func(context.Context) error{p.keepBackUncertain, p.keepBackRefused, p.checkPresent, p.goOnFromBase, p.choose} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	p.planStatus()
	return p, nil
}

// selectNames groups what the source has by the names that are copied.
func (p *CopyPlan) selectNames(heads []*revision.Revision) {
	have := map[string]bool{}
	for _, tag := range p.view.tags {
		have[tag.Name] = true
	}
	for _, tag := range p.from.tags {
		n := p.byName[tag.Name]
		if n == nil {
			if p.options.Select != nil && !have[tag.Name] && !p.options.Select(tag.Name) {
				continue
			}
			n = &CopyName{Name: tag.Name}
			p.byName[tag.Name] = n
			p.Names = append(p.Names, n)
		}
		n.tags = append(n.tags, tag)
	}
	for _, head := range heads {
		if n := p.byName[head.Tag.Name]; n != nil {
			n.Head = head
		}
	}
	slices.SortFunc(p.Names, func(a, b *CopyName) int { return strings.Compare(a.Name, b.Name) })
}

// copied returns the names that are copied.
func (p *CopyPlan) copied() []*CopyName {
	return slices.DeleteFunc(slices.Clone(p.Names), func(n *CopyName) bool { return n.Kept != nil || n.Head == nil })
}

// keepBackUncertain keeps those names back of which something later than what decides
// them now is known, and cannot be copied: an older state in its place is one that never
// was. A name that has no revision at all is no name.
func (p *CopyPlan) keepBackUncertain(context.Context) error {
	horizon := p.to.horizon()
	for _, n := range p.Names {
		var head revision.Tag
		if n.Head != nil {
			head = n.Head.Tag
		}
		if later := p.from.uncertain(n.Name, head); len(later) > 0 {
			n.Kept = p.from.whyUncertain(later[len(later)-1])
		} else if ours := p.from.log.horizon(); head.Millis > horizon && head.Millis <= ours {
			n.Kept = fmt.Errorf("%w: tag %s is dated %s, more than a day ahead of the destination's clock", entry.ErrInvalid, head, head.Time())
		}
	}
	p.Names = slices.DeleteFunc(p.Names, func(n *CopyName) bool { return n.Head == nil && n.Kept == nil })
	return nil
}

// keepBackRefused asks about what decides each name.
func (p *CopyPlan) keepBackRefused(ctx context.Context) error {
	if p.options.Refuse == nil {
		return nil
	}
	return eachOf(ctx, p.options.Parallel, p.copied(), func(ctx context.Context, n *CopyName) error {
		n.Kept = p.options.Refuse(ctx, n.Head)
		return ctx.Err()
	})
}

// checkPresent keeps those names back of which the destination has another revision
// under the tag that decides.
func (p *CopyPlan) checkPresent(ctx context.Context) error {
	var listed []revision.Tag
	for _, n := range p.copied() {
		if p.have[n.Head.Tag] {
			listed = append(listed, n.Head.Tag)
		}
	}
	found, err := p.view.revisions(ctx, listed)
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	for _, tag := range listed {
		n := p.byName[tag.Name]
		var overwritten *OverwrittenError
		switch r := found[tag]; {
		case r != nil && r.Digest != n.Head.Digest:
			n.Kept = fmt.Errorf("destination: %w", &OverwrittenError{tag, r.Digest, n.Head.Digest})
		case r == nil && errors.As(p.view.whyNone(tag), &overwritten):
			n.Kept = fmt.Errorf("destination: %w", overwritten)
		}
	}
	return nil
}

// uncertain returns the tags of a name after another one, of which nobody knows what
// they were made for: they vanished, or hold something else. They are in log order.
func (v *View) uncertain(name string, after revision.Tag) (tags []revision.Tag) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, tag := range v.odd[name] {
		f, _ := v.log.known.get(tag)
		if after.Compare(tag) < 0 && f.kind != foreign && (v.none[tag] != nil || v.hasVanished(tag, time.Time{})) {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, revision.Tag.Compare)
	return tags
}

func (v *View) whyUncertain(tag revision.Tag) error {
	if why := v.whyNone(tag); why != nil {
		return why
	}
	return fmt.Errorf("%w: its revision %s, of %s, is no longer in the registry", entry.ErrUnreachable, tag, tag.Time())
}

// whyNone returns why a tag holds no revision; nil where that is not known.
func (v *View) whyNone(tag revision.Tag) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.none[tag]
}
