package revision

// Overtaken decides whether an editor is done, who made revisions of a name from
// base, the last of which is own. later are the revisions of the name after base, in
// log order, that count; isOwn tells the editor's. The last that somebody else made is
// what the editor has to look at: its own revision lacks what that changed, or is
// hidden by it (SPEC section 12). nil means that nobody came between.
func Overtaken(base Tag, later []*Revision, isOwn func(Tag) bool) *Revision {
	for i := len(later) - 1; i >= 0; i-- {
		if r := later[i]; base.Compare(r.Tag) < 0 && !isOwn(r.Tag) {
			return r
		}
	}
	return nil
}
