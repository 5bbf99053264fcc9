// Package ocilog reads and writes the log of a catalog in an OCI repository: an
// append-only list of revisions, one small artifact each under a tag of its
// own, that nothing ever overwrites (schema/SPEC.md, sections 3 to 8).
//
//	log := ocilog.New(repository, "registry.example.com/automotive/catalog", ocilog.Options{})
//	view, err := log.Read(ctx)            // tag list, newest snapshot
//	heads, err := view.Heads(ctx, time.Time{})
//	err = log.Append(ctx, packed, nil)    // written once, read back
//	_, err = log.Compact(ctx, view)       // a snapshot, when one is due
//	_, err = Copy(ctx, view, other, CopyOptions{}) // the union, in another log
//
// Reading costs the tag list and what is not known yet. Whatever was fetched is
// known by its digest and cached: decoded revisions in a bounded LRU, segments
// and the revisions that no snapshot covers in a directory that any number of
// processes may share. Segments are cached by a wrapper of the target
// (cachedtarget.go): the rest of the package reads a target and does not know of
// it. Snapshots and caches are never believed: each record is
// checked against the hash in its tag, and a record whose tag the registry does
// not list is asked for by itself, so that a list that was cut short or rolled
// back hides nothing.
//
// Words of this package, beside those of package revision:
//
//   - view: what one read of the log showed
//   - knowledge: what a reader has seen of each tag and records, in memory, in the
//     cache (which may be lost) and in the state (which may not)
//   - valid: said of a manifest whose digest is the one in its tag
//   - claim: that a segment has a record of a tag, before that record was checked
//   - unlisted: a tag that is known or claimed, and missing in the tag list
//   - absent: a tag of which the registry said twice that it is not there
//   - vanished: an absent head that this reader had seen, or whose document names
//     this catalog
//   - tail: the revisions that the newest snapshot does not cover
//   - stub: a head of which only tag and digest are known
package ocilog
