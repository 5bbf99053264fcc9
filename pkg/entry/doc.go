// Package entry is the domain of a caib catalog, and pure: it knows what an
// entry is, how a revision is packed into an OCI manifest and read back, which
// revision of a name wins, and which entries match a query. It opens no
// network connection, no file and no clock; whatever moves bytes lives above
// it.
//
// A publication becomes a [Document], the document a [Packed] revision, and
// the revision's [Tag] its place in the log:
//
//	packed, err := entry.Pack(&entry.Document{
//		Name:        "autosd-qemu",
//		Image:       image,
//		Source:      entry.Source{Type: entry.SourceManual},
//		PublishedAt: entry.NewTime(now),
//	})
//	// push packed.Blobs, then packed.Manifest under packed.Tag.String()
//
// Reading goes the other way. Everything that comes from a registry is hostile
// until [Unpack] has checked it: the manifest against the tag's hash, the
// document against the manifest's descriptor and the JSON Schema, and name,
// time and operation of the tag against the document.
//
//	tags, _ := entry.ParseTags(listed)
//	replay := entry.NewReplay(tags, time.Time{})
//	for want := replay.Undecided(); len(want) > 0; want = replay.Undecided() {
//		replay.Decide(fetchAndUnpack(want)) // by tag; a missing one is not a revision
//	}
//	live, _ := replay.Live()
//
// JSON from a registry is decoded with the semantics of encoding/json/v2 (names
// match exactly, duplicates and broken UTF-8 are errors), because the older
// rules let a document show one value to the schema and another to the reader.
//
// The error kinds of the whole project are declared here; match them with
// errors.Is. The sections named in comments are those of schema/SPEC.md.
package entry
