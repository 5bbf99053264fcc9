package ocilog

import (
	"context"
	"slices"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Edits are the revisions of a name that an editor goes by (SPEC section 12): those
// after a base, in log order, as far as they count.
type Edits struct {
	Head *revision.Revision // the last one
	// Stated is the last one that is no edit, and that neither Head nor anything that
	// Head was made from was made from: it says all anew, and Head hides it. nil is none.
	Stated *revision.Revision

	own   map[revision.Tag]bool         // the editor's own revisions
	apart []*revision.Revision          // edits that Head was not made from, and that it is to have
	after []*revision.Revision          // all edits after Stated
	known map[string]*revision.Revision // by the hashes of their tags, with what they were made from
}

// maxEdits bounds the revisions of a name that an editor reads.
const maxEdits = 256

// EditsAfter reads what there is of a name after a base, from which last was made. own
// are the revisions that count whatever Counter says. Head is to have last, and what
// last hides: the edits between base and last. Where there is a Counter, what is hidden
// counts only if it names this catalog: others can copy here what was signed elsewhere,
// and no reader ever saw it decide the name. nil means that there is nothing after the
// base.
func (v *View) EditsAfter(ctx context.Context, base, last revision.Tag, own map[revision.Tag]bool, counter Counter) (*Edits, error) {
	all := v.of(last.Name)
	tags := slices.DeleteFunc(slices.Clone(all), func(tag revision.Tag) bool { return tag.Compare(base) <= 0 })
	list, err := v.historyOf(ctx, tags[max(0, len(tags)-maxEdits):])
	if err != nil {
		return nil, err
	}
	if counter != nil {
		list = slices.DeleteFunc(list, func(r *revision.Revision) bool {
			return r.Tag.Compare(last) < 0 && !own[r.Tag] && r.Later == "" && r.Catalog() != v.log.id
		})
		slices.Reverse(list) // the newest are asked about first
		counts := counter.Count(ctx, list)
		for i := range list {
			if !counts[i] && !own[list[i].Tag] {
				list[i] = nil
			}
		}
		list = slices.DeleteFunc(list, func(r *revision.Revision) bool { return r == nil })
		slices.Reverse(list)
	}
	if len(list) == 0 {
		return nil, nil
	}
	e := &Edits{Head: list[len(list)-1], own: own, known: map[string]*revision.Revision{}}
	if err := e.readBases(ctx, v, all, list); err != nil {
		return nil, err
	}
	e.sort(list, last)
	return e, nil
}

// EditsUnder is EditsAfter for what a head was made from, and for what the head hides:
// its writer may not have read the log again yet. nil means that it hides nothing.
func (v *View) EditsUnder(ctx context.Context, head *revision.Revision, counter Counter) (*Edits, error) {
	if len(head.Bases) == 0 {
		return nil, nil
	}
	all := v.of(head.Tag.Name)
	base := slices.IndexFunc(all, func(tag revision.Tag) bool { return tag.Hash == head.Bases[0] && tag.Op == revision.OpPublish })
	if base < 0 || slices.Index(all, head.Tag) <= base+1 {
		return nil, nil
	}
	e, err := v.EditsAfter(ctx, all[base], head.Tag, map[revision.Tag]bool{head.Tag: true}, counter)
	if e != nil {
		e.own = nil // the head is somebody else's
	}
	return e, err
}

// readBases finds the revisions that edits were made from.
func (e *Edits) readBases(ctx context.Context, v *View, all []revision.Tag, list []*revision.Revision) error {
	wanted := map[string]bool{}
	for _, r := range list {
		e.known[r.Tag.Hash] = r
	}
	for _, r := range list {
		if len(r.Bases) > 0 && e.known[r.Bases[0]] == nil {
			wanted[r.Bases[0]] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	tags := slices.DeleteFunc(slices.Clone(all), func(tag revision.Tag) bool { return !wanted[tag.Hash] || tag.Op != revision.OpPublish })
	found, err := v.historyOf(ctx, tags)
	for _, r := range found {
		e.known[r.Tag.Hash] = r
	}
	return err
}

// base returns what a revision changed; nil for what is no edit, or of which that is
// not known.
func (e *Edits) base(r *revision.Revision) *revision.Revision {
	if r.Document == nil || len(r.Bases) == 0 {
		return nil
	}
	if base := e.known[r.Bases[0]]; base != nil && base.Document != nil && base.Document.Image.Digest == r.Document.Image.Digest {
		return base
	}
	return nil
}

// sort finds out what Head lacks.
func (e *Edits) sort(list []*revision.Revision, last revision.Tag) {
	within := map[*revision.Revision]bool{} // Head, and what it was made from
	for next := []*revision.Revision{e.Head}; len(next) > 0; next = next[1:] {
		if within[next[0]] {
			continue
		}
		within[next[0]] = true
		for _, hash := range next[0].Bases {
			if base := e.known[hash]; base != nil {
				next = append(next, base)
			}
		}
	}
	stated := -1 // the last revision that is no edit
	for i, r := range list {
		if e.base(r) == nil {
			stated = i
		}
	}
	if stated >= 0 && !within[list[stated]] {
		e.Stated = list[stated]
	}
	for i, r := range list {
		if i <= stated && r.Tag != last || e.base(r) == nil {
			continue
		}
		e.after = append(e.after, r)
		if !within[r] && r.Tag.Compare(last) <= 0 {
			e.apart = append(e.apart, r)
		}
	}
}

// Merge is what a name is to say once nothing of it is hidden.
type Merge struct {
	Document *revision.Document
	From     *revision.Revision // that the document is a rewrite of
	Base     *revision.Revision // that it changes
	Bases    []string           // the hashes of the tags of all that it is made from; that of Base first
}

// MergeOf is that of a revision alone.
func MergeOf(r *revision.Revision) *Merge {
	return &Merge{Document: r.Document, From: r, Base: r, Bases: []string{r.Tag.Hash}}
}

// Merged makes again on Head, or on Stated, what that is to have and lacks. What is
// later in the log counts where two say different things. Edits of another image than
// that are left out. What is made from the editor's own revision changes what that
// changed, so that its own change is part of the difference.
func (e *Edits) Merged() (*Merge, error) {
	m, edits := MergeOf(e.Head), e.apart
	switch base := e.base(e.Head); {
	case e.Stated != nil:
		m, edits = MergeOf(e.Stated), e.after
	case base != nil && e.own[e.Head.Tag]:
		m.Base, m.Bases = base, []string{base.Tag.Hash}
	}
	if e.Stated == nil && len(edits) > 0 && e.base(e.Head) != nil {
		edits = append(slices.Clone(edits), e.Head)
	}
	for _, edit := range edits {
		if edit.Document.Image.Digest != m.Document.Image.Digest {
			continue
		}
		next, err := m.Document.Reapplied(e.base(edit).Document, edit.Document)
		if err != nil {
			return nil, err
		}
		m.Document = next
	}
	for _, r := range slices.Concat([]*revision.Revision{e.Head}, e.apart) {
		if !slices.Contains(m.Bases, r.Tag.Hash) {
			m.Bases = append(m.Bases, r.Tag.Hash)
		}
	}
	return m, nil
}
