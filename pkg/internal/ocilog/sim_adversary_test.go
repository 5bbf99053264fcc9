package ocilog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// attack is one step of the adversary: who may push and delete whatever they
// like, and has no key.
func (a *actor) attack(ctx context.Context) {
	steps := []struct {
		what string
		odds int
		do   func()
	}{
		{"deletes", 6, a.deletes},
		{"hides", 3, a.hides},
		{"shows", 1, func() { clear(a.repository.hidden) }},
		{"overwrites", 2, a.overwrites},
		{"puts back", 2, a.putsBack},
		{"publishes", 3, func() { a.pushes(revision.OpPublish) }},
		{"removes", 2, func() { a.pushes(revision.OpRemove) }},
		{"pushes a later format", 1, a.pushesLater},
		{"pushes junk", 2, a.pushesJunk},
		{"copies", 2, a.copies},
		{"forges a snapshot", 5, a.forges},
	}
	odds := 0
	for _, step := range steps {
		odds += step.odds
	}
	roll := a.rng.IntN(odds)
	for _, step := range steps {
		if roll -= step.odds; roll < 0 {
			_ = a.schedule.wait(ctx, a, step.what, func() error { step.do(); return nil })
			return
		}
	}
}

// choose returns a tag of the repository that fits, the newest most often.
func (a *actor) choose(fits func(revision.Tag) bool) (revision.Tag, bool) {
	var tags []revision.Tag
	for text := range a.repository.at(len(a.repository.changes)) {
		if tag, ok := revision.ParseTag(text); ok && fits(tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		return revision.Tag{}, false
	}
	slices.SortFunc(tags, revision.Tag.Compare)
	return tags[max(0, len(tags)-1-a.rng.IntN(4)*a.rng.IntN(2)*a.rng.IntN(2))], true
}

func isRevision(tag revision.Tag) bool { return tag.Op != revision.OpSnapshot }

// tampers notes that no reader can be expected to see this tag, or to be sure
// of its name.
func (a *actor) tampers(tag revision.Tag) {
	a.schedule.note("%s: at %s", a.name, tag)
	a.repository.tampered[tag.String()] = true
	a.repository.since[tag.String()] = len(a.repository.changes)
	a.repository.disturbed[tag.Name] = true
}

func (a *actor) set(tag revision.Tag, sum digest.Digest) {
	a.repository.changes = append(a.repository.changes, change{tag.String(), sum})
}

// deletes takes one tag away, or several of a name, the newest first.
func (a *actor) deletes() {
	tag, ok := a.choose(func(revision.Tag) bool { return true })
	if !ok {
		return
	}
	name, more := tag.Name, a.rng.IntN(4)
	for ; ok; more-- {
		a.tampers(tag)
		a.set(tag, "")
		if more == 0 {
			return
		}
		tag, ok = a.choose(func(other revision.Tag) bool { return other.Name == name })
	}
}

func (a *actor) hides() {
	tag, ok := a.choose(func(revision.Tag) bool { return true })
	if ok {
		a.tampers(tag)
		a.repository.hidden[tag.String()] = true
	}
}

func (a *actor) overwrites() {
	if tag, ok := a.choose(func(revision.Tag) bool { return true }); ok {
		a.tampers(tag)
		a.set(tag, a.store([]byte(`{"schemaVersion":2}`)))
	}
}

// putsBack undoes what was done to a revision.
func (a *actor) putsBack() {
	r := a.repository
	for _, text := range slices.Sorted(maps.Keys(r.tampered)) {
		tag, _ := revision.ParseTag(text)
		if is, ok := r.valid[tag]; ok && r.get(text, len(r.changes)) != is.digest {
			a.tampers(tag)
			a.set(tag, is.digest)
			return
		}
	}
}

func (a *actor) store(manifest []byte) digest.Digest {
	sum := digest.FromBytes(manifest)
	a.repository.content[sum] = manifest
	return sum
}

// name chooses one, and notes that it is disturbed.
func (a *actor) victim() string {
	name := a.schedule.names[a.rng.IntN(len(a.schedule.names))]
	a.repository.disturbed[name] = true
	return name
}

// later chooses a time after all revisions of a name: just after, far, or too far.
func (a *actor) later(name string) entry.Time {
	at := a.schedule.now()
	for tag := range a.repository.valid {
		if tag.Name == name && tag.Time().After(at) {
			at = tag.Time().Time
		}
	}
	ahead := []time.Duration{time.Millisecond, time.Millisecond, time.Minute, 2 * maxAhead}
	at = at.Add(ahead[a.rng.IntN(len(ahead))])
	if limit := epoch.Add(maxAhead / 2); at.After(limit) {
		at = epoch.Add(2 * maxAhead) // no doubt on which side of the horizon
	}
	return entry.NewTime(at)
}

func (a *actor) pushes(op revision.Op) {
	name := a.victim()
	a.push(a.pack(op, name, a.repository.id, a.later(name)))
}

func (a *actor) push(packed *revision.Packed) {
	a.schedule.note("%s: %s", a.name, packed.Tag)
	a.repository.put(a.name, packed.Tag.String(), packed.Descriptor.Digest, packed.Manifest)
}

func (a *actor) pack(op revision.Op, name, catalog string, at entry.Time) *revision.Packed {
	a.serial++
	packed, err := revision.PackRemoval(&revision.Removal{Name: name, Revision: digest.FromString("any"), RemovedAt: at, Catalog: catalog}, revision.Seen{})
	if op == revision.OpPublish {
		packed, err = revision.Pack(&revision.Document{
			Name: name, Version: fmt.Sprint("forged-", a.serial), Catalog: catalog, PublishedAt: at, PublishedBy: "writer 1",
			Image:  revision.Image{Reference: "evil.example.com/os", Digest: digest.FromString("evil"), MediaType: ocispec.MediaTypeImageManifest, Size: 1},
			Source: entry.Source{Type: entry.SourceManual},
		}, revision.Seen{Revisions: 3, Catalog: revision.CatalogHash(catalog)})
	}
	if err != nil {
		a.schedule.fail("the adversary cannot pack %s: %v", name, err)
		return &revision.Packed{}
	}
	return packed
}

func (a *actor) pushesLater() {
	name := a.victim()
	packed := a.pack(revision.OpPublish, name, a.repository.id, a.later(name))
	text := []byte(strings.ReplaceAll(string(packed.Manifest), revision.MediaTypeEntry, "application/vnd.caib.catalog.entry.v9+json"))
	packed.Manifest, packed.Descriptor.Digest = text, digest.FromBytes(text)
	packed.Tag = revision.NewTag(name, packed.Tag.Time(), revision.OpPublish, packed.Descriptor.Digest)
	a.push(packed)
}

// pushesJunk puts what is no revision under a tag that is in order.
func (a *actor) pushesJunk() {
	name := a.victim()
	a.serial++
	sum := a.store(fmt.Appendf(nil, `{"junk":%d}`, a.serial))
	named := sum
	if a.rng.IntN(2) == 0 {
		named = digest.FromString("something else")
	}
	a.set(revision.NewTag(name, a.later(name), revision.OpPublish, named), sum)
}

// copies puts a revision under a later tag, as if it were published again.
func (a *actor) copies() {
	if tag, ok := a.choose(isRevision); ok {
		a.repository.disturbed[tag.Name] = true
		sum := a.repository.valid[tag].digest
		if sum != "" {
			a.set(revision.NewTag(tag.Name, a.later(tag.Name), tag.Op, sum), sum)
		}
	}
}

// forges pushes a snapshot that says less than there is, or other things.
func (a *actor) forges() {
	r := a.repository
	var lines []string
	add := func(tag revision.Tag, manifest []byte) {
		if n, err := newLine(tag, manifest); err == nil {
			lines = append(lines, string(n.text))
		}
	}
	kind := a.rng.IntN(5)
	switch kind {
	case 0: // nothing
	case 1: // no records
		lines = []string{`{"tag":"x0000000.0mm7p6yxl.p0000000000000000","manifest":""}`, "and no record"}
	case 2: // lies about what there is
		for _, tag := range sortedTags(r.valid) {
			add(tag, []byte(`{"schemaVersion":2}`))
		}
	case 3: // the past
		all := sortedTags(r.valid)
		for _, tag := range all[:len(all)/2] {
			add(tag, r.content[r.valid[tag].digest])
		}
	case 4: // another catalog's, signed with the same key
		for _, name := range a.schedule.names {
			packed := a.pack(revision.OpPublish, name, "registry.example.com/other", entry.NewTime(a.schedule.now().Add(time.Minute)))
			r.signed[packed.Descriptor.Digest] = true
			add(packed.Tag, packed.Manifest)
		}
	}
	a.pushSnapshot(kind == 0, lines)
}

func sortedTags(of map[revision.Tag]stood) []revision.Tag {
	return slices.SortedFunc(maps.Keys(of), revision.Tag.Compare)
}

// forgeHashes says that a segment has all there is, or the half of it: from where it is,
// from nowhere, or some of both.
func (a *actor) forgeHashes(segment digest.Digest) ocispec.Descriptor {
	r := a.repository
	log := New(nil, r.id, Options{NormalReference: asIs})
	var rows []byte
	all := sortedTags(r.valid)
	lies := a.rng.IntN(3)
	for i, tag := range all {
		manifest := r.content[r.valid[tag].digest]
		if lies == 1 && i%2 == 0 || lies == 2 {
			manifest = nil // then it is from nowhere, and its image may get a second name
			for _, name := range a.schedule.names {
				r.disturbed[name] = true
			}
		}
		rows = log.appendRow(rows, tag, opened{manifest: manifest, digest: digest.FromBytes(manifest)})
	}
	if a.rng.IntN(2) == 0 {
		rows = rows[:len(rows)/(2*rowSize)*rowSize]
	}
	sum := a.store(rows)
	return ocispec.Descriptor{
		MediaType: revision.MediaTypeHashes, Digest: sum, Size: int64(len(rows)), Annotations: map[string]string{annotationSegment: segment.String()},
	}
}

// pushSnapshot dates a snapshot after all others, most often by little.
func (a *actor) pushSnapshot(empty bool, lines []string) {
	r := a.repository
	var segments []ocispec.Descriptor
	if !empty {
		w, err := newStateWriter()
		if err != nil {
			a.schedule.fail("%v", err)
			return
		}
		for _, text := range lines {
			_ = w.add([]byte(text)) // into memory
		}
		blob, err := w.finish()
		if err != nil {
			a.schedule.fail("%v", err)
			return
		}
		sum := a.store(blob)
		segments = append(segments, ocispec.Descriptor{MediaType: revision.MediaTypeSegment, Digest: sum, Size: int64(len(blob))})
	}
	if a.schedule.setting.hashed && len(segments) > 0 && a.rng.IntN(3) > 0 {
		segments = append(segments, a.forgeHashes(segments[0].Digest))
	}
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	manifest, err := snapshotManifest(config, segments, nil)
	if err != nil {
		a.schedule.fail("%v", err)
		return
	}
	ahead := []time.Duration{time.Millisecond, time.Hour, 2 * maxAhead}
	_, snapshots := revision.ParseTags(r.list(len(r.changes)))
	at := revision.NextTime(a.schedule.now(), revision.SnapshotName, snapshots)
	at = entry.NewTime(at.Add(ahead[a.rng.IntN(len(ahead))]))
	sum := a.store(manifest)
	a.set(revision.SnapshotTag(at, sum), sum)
}
