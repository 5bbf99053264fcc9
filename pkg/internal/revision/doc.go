// Package revision is the format of a catalog, and pure: how a revision is packed
// into an OCI manifest and unpacked from one, what the tags of the log say, and
// which revision of a name decides.
//
// A publication becomes a [Document], the document a [Packed] revision, and
// the revision's [Tag] its place in the log:
//
//	packed, err := revision.Pack(document, revision.Seen{})
//	// push packed.Blobs, then packed.Manifest under packed.Tag.String()
//
// Reading goes the other way. Everything that comes from a registry is hostile
// until [Unpack] has checked it: the manifest against the tag's hash, the
// document against the manifest's descriptor and the JSON Schema, and name,
// time and operation of the tag against the document.
//
//	tags, _ := revision.ParseTags(listed)
//	replay := revision.NewReplay(tags, time.Time{})
//	for want := replay.Undecided(); len(want) > 0; want = replay.Undecided() {
//		replay.Decide(fetchAndUnpack(want)) // by tag; a missing one is not a revision
//	}
//	heads := replay.Heads()
//
// JSON from a registry is decoded with the semantics of encoding/json/v2 (names
// match exactly, duplicates and broken UTF-8 are errors), because the older
// rules let a document show one value to the schema and another to the reader.
//
// Words of this package:
//
//   - revision: one immutable event of a name, a publication or a removal
//   - head: the revision that decides a name
//   - live: a head that is a publication of a format that this code reads
//   - later format: a version of the format that this code cannot read
//   - seen: how many revision tags the writer of a revision saw
package revision
