package ocilog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Record is a revision as it can be written again: its exact manifest, whose digest
// is the one of its tag, and signatures, which prove nothing.
type Record struct {
	Tag        revision.Tag
	Manifest   []byte
	Signatures []jsontext.Value
	From       string // where it was found, for people; "" is the registry itself
}

// examineUnlisted looks for what is known and not listed, as far as it decides a name
// or is its last removal: whatever else is gone was superseded.
func (e *examiner) examineUnlisted(ctx context.Context) error {
	lost, err := e.lastUnlisted(ctx)
	if err != nil || len(lost) == 0 {
		return err
	}
	records := e.records(ctx, lost)
	last := map[string]map[bool]revision.Tag{} // by name, and whether it is a removal
	for _, tag := range lost {
		if !e.isOurs(tag, records[tag]) {
			continue
		}
		if last[tag.Name] == nil {
			last[tag.Name] = map[bool]revision.Tag{}
		}
		last[tag.Name][tag.Op == revision.OpRemove] = tag // they are in log order
	}
	for _, of := range last {
		removal, removed := of[true]
		publication, published := of[false]
		if removed {
			e.setLost(removal, records[removal])
		}
		if published && (!removed || removal.Compare(publication) < 0) {
			e.setLost(publication, records[publication])
		}
	}
	return nil
}

func (e *examiner) setLost(tag revision.Tag, record *Record) {
	e.faults[tag] = &Examined{Tag: tag, Condition: Lost, Record: record, Err: fmt.Errorf("revision %s is no longer in the registry", tag)}
}

// lastUnlisted returns, in log order, the revisions that are known, not listed and not
// there, and that are later than what is listed of their name: all of them, or the
// removals. Those that are there all the same are examined.
func (e *examiner) lastUnlisted(ctx context.Context) ([]revision.Tag, error) {
	standing := e.standing()
	var ask []revision.Tag
	for _, tag := range e.view.tags {
		if e.view.unlisted[tag] && standing.isBefore(tag) {
			ask = append(ask, tag)
		}
	}
	there, err := e.view.dropAbsent(ctx, ask)
	if err != nil {
		return nil, err
	}
	e.examine(ctx, there)
	return slices.DeleteFunc(ask, func(tag revision.Tag) bool { return slices.Contains(there, tag) }), nil
}

// lasts are the last revisions of names, and their last removals.
type lasts struct{ any, removal map[string]revision.Tag }

func (l lasts) add(tag revision.Tag) {
	if l.any[tag.Name].Compare(tag) < 0 {
		l.any[tag.Name] = tag
	}
	if tag.Op == revision.OpRemove && l.removal[tag.Name].Compare(tag) < 0 {
		l.removal[tag.Name] = tag
	}
}

// isBefore reports whether a revision would decide its name, or be its last removal.
func (l lasts) isBefore(tag revision.Tag) bool {
	return l.any[tag.Name].Compare(tag) < 0 || tag.Op == revision.OpRemove && l.removal[tag.Name].Compare(tag) < 0
}

// standing returns the last revisions that are listed, and those that are lost.
func (e *examiner) standing() lasts {
	found := lasts{map[string]revision.Tag{}, map[string]revision.Tag{}}
	for _, tag := range e.view.listed {
		if fault := e.faults[tag]; fault == nil || !errors.Is(fault.Err, entry.ErrMalformed) { // what is no revision stands in front of nothing
			found.add(tag)
		}
	}
	for tag, fault := range e.faults {
		if fault.Condition == Lost {
			found.add(tag)
		}
	}
	return found
}

// addFromSources adds what decides a name in a source and was published here, or removed
// it, and is not here any more.
func (e *examiner) addFromSources(ctx context.Context) error {
	for _, source := range e.options.Sources {
		heads, err := source.View.Heads(ctx, time.Time{})
		if err != nil {
			return fmt.Errorf("%s: %w", source.Name, err)
		}
		last := lasts{map[string]revision.Tag{}, map[string]revision.Tag{}}
		for _, head := range heads {
			last.add(head.Tag)
		}
		for _, tag := range source.View.tags {
			if tag.Op == revision.OpRemove && tag.Compare(last.any[tag.Name]) < 0 {
				last.add(tag)
			}
		}
		standing := e.standing()
		var want []revision.Tag
		for _, of := range []map[string]revision.Tag{last.removal, last.any} {
			for _, tag := range of {
				if standing.isBefore(tag) && !slices.Contains(want, tag) && !slices.Contains(e.view.listed, tag) && tag.Millis <= e.log.horizon() {
					want = append(want, tag)
				}
			}
		}
		for tag, record := range e.recordsOf(ctx, source, want) {
			if found, err := revision.Unpack(tag, record.Manifest); err == nil && found.Catalog() == e.log.id {
				e.setLost(tag, record)
			}
		}
	}
	return nil
}

// recordsOf returns what a source has of some revisions.
func (e *examiner) recordsOf(ctx context.Context, source Source, want []revision.Tag) map[revision.Tag]*Record {
	found := map[revision.Tag]*Record{}
	for _, tag := range want {
		if _, has := slices.BinarySearchFunc(source.View.tags, tag, revision.Tag.Compare); !has {
			continue
		}
		manifest, err := source.View.log.Manifest(ctx, tag)
		if err != nil || !tag.Names(digest.FromBytes(manifest)) {
			continue
		}
		record := &Record{Tag: tag, Manifest: manifest, Signatures: source.View.log.Signatures(tag), From: source.Name}
		if source.Signatures != nil && len(record.Signatures) == 0 {
			record.Signatures = source.Signatures(ctx, digest.FromBytes(manifest))
		}
		found[tag] = record
	}
	return found
}

// addAttached adds what is beside images and not here: all of a name of which nothing
// stands, and of another what would decide it.
func (e *examiner) addAttached() {
	standing := e.standing()
	for _, record := range e.options.Attached {
		fault := e.faults[record.Tag]
		switch {
		case fault != nil && fault.Record == nil && fault.Condition != Unclear:
			fault.Record = &record
		case fault != nil, slices.Contains(e.view.listed, record.Tag):
		case standing.any[record.Tag.Name] == (revision.Tag{}), standing.isBefore(record.Tag):
			e.setLost(record.Tag, &record)
		}
	}
}

// isOurs reports whether what is not there was there once: this reader saw it, or it is
// at hand and says that it was published in this catalog.
func (e *examiner) isOurs(tag revision.Tag, record *Record) bool {
	l := e.log
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	f := l.known.facts[tag]
	if f != nil && f.absent {
		return f.kind != foreign
	}
	if record == nil || tag.Millis <= max(l.forgotten[""], l.forgotten[tag.Name]) || l.options.HasEntrySignatures != nil {
		return false // under a policy, what is verified is absent by now
	}
	found, err := revision.Unpack(tag, record.Manifest)
	return err == nil && found.Catalog() == l.id
}

// addRecords finds what could mend the faults.
func (e *examiner) addRecords(ctx context.Context) {
	var want []revision.Tag
	for tag, fault := range e.faults {
		if fault.Record == nil && fault.Condition != Unclear {
			want = append(want, tag)
		}
	}
	for tag, record := range e.records(ctx, want) {
		e.faults[tag].Record = record
	}
	group := errgroup.Group{}
	group.SetLimit(e.log.options.Parallel)
	for _, fault := range e.faults {
		if fault.Record != nil {
			group.Go(func() error {
				e.proveRecord(ctx, fault)
				return nil
			})
		}
	}
	_ = group.Wait() // never fails: it is said of each
}

// proveRecord checks what is to be written again. Only what is proven may decide a name.
func (e *examiner) proveRecord(ctx context.Context, fault *Examined) {
	record := fault.Record
	found, err := e.log.decode(fault.Tag, digest.FromBytes(record.Manifest), record.Manifest)
	if err != nil {
		fault.Record = nil // no revision: nothing is mended by it
		return
	}
	if e.options.Prove != nil && record.From != "" {
		fault.Unproven = e.options.Prove(ctx, found, record.Signatures)
	}
	if fault.Unproven == nil || fault.Condition != Lost {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.add(found)
	}
}

// records returns what snapshots, caches and the registry have of revisions: what the
// last reading knows, then what is there by its digest, then older snapshots.
func (e *examiner) records(ctx context.Context, want []revision.Tag) map[revision.Tag]*Record {
	found := map[revision.Tag]*Record{}
	for _, tag := range want {
		if f, _ := e.log.known.get(tag); f.manifest != nil {
			found[tag] = &Record{Tag: tag, Manifest: f.manifest, From: "the cache"}
		}
	}
	e.claimed(ctx, want, found)
	for _, tag := range want {
		f, _ := e.log.known.get(tag)
		if found[tag] != nil || f.digest == "" {
			continue
		}
		if _, manifest, err := e.from.Manifest(ctx, f.digest.String()); err == nil && tag.Names(digest.FromBytes(manifest)) {
			found[tag] = &Record{Tag: tag, Manifest: manifest}
		}
	}
	budget, end := newBudget(ctx)
	defer end()
	for i := len(e.view.snapshots) - 1; i >= 0 && len(found) < len(want) && budget.ctx.Err() == nil; i-- {
		tag := e.view.snapshots[i]
		if s := e.log.snapshot(tag); s != nil && s.read {
			continue
		}
		budget.begin()
		_, _ = e.log.readSnapshot(budget, e.log.target, tag, nil, nil) // what could be read of it is known all the same
		e.claimed(ctx, want, found)
	}
	for _, source := range e.options.Sources {
		missing := slices.DeleteFunc(slices.Clone(want), func(tag revision.Tag) bool { return found[tag] != nil })
		maps.Copy(found, e.recordsOf(ctx, source, missing))
	}
	for tag, record := range found {
		f, _ := e.log.known.get(tag)
		record.Signatures = union(record.Signatures, union(f.signatures, f.added))
	}
	return found
}

// claimed adds the records that snapshots have of those that were not found yet.
func (e *examiner) claimed(ctx context.Context, want []revision.Tag, found map[revision.Tag]*Record) {
	missing := slices.DeleteFunc(slices.Clone(want), func(tag revision.Tag) bool { return found[tag] != nil })
	e.log.eachRecord(ctx, e.log.target, missing, func(o validRecord) {
		found[o.tag] = &Record{Tag: o.tag, Manifest: o.manifest, Signatures: o.signatures, From: "a snapshot"}
	})
}

// examineSnapshot reads the newest snapshot as a reader would that has no cache. What
// is missing of it, or of the one that the next snapshot continues, no snapshot
// written from here is made of.
func (e *examiner) examineSnapshot(ctx context.Context) []Examined {
	l := e.log
	l.known.mu.Lock()
	known, newest := slices.Clone(l.snapshots), l.newest
	l.known.mu.Unlock()
	for _, s := range known {
		_ = e.examineSegments(ctx, s)
	}
	if len(e.view.snapshots) == 0 || e.view.snapshots[len(e.view.snapshots)-1].Compare(newest) < 0 {
		if newest == (revision.Tag{}) {
			return nil
		}
		if _, err := e.from.Resolve(ctx, newest.String()); errors.Is(err, entry.ErrNotFound) {
			return []Examined{{Tag: newest, Condition: Lost, Err: fmt.Errorf("the newest snapshot is no longer in the registry, and there is none in its place")}}
		}
		return nil
	}
	tag := e.view.snapshots[len(e.view.snapshots)-1]
	descriptor, manifest, err := e.from.Manifest(ctx, tag.String())
	var s *snapshot
	if err == nil {
		s, err = parseSnapshot(tag, descriptor.Digest, manifest)
	}
	if err == nil {
		err = e.examineSegments(ctx, s)
	}
	switch {
	case err == nil:
		return nil
	case isDamage(err):
		return []Examined{{Tag: tag, Condition: Damaged, Err: fmt.Errorf("snapshot: %w", err)}}
	}
	return []Examined{{Tag: tag, Condition: Unclear, Err: fmt.Errorf("snapshot: %w", err)}}
}

// segmentLook is what was found of a segment in the registry.
type segmentLook struct {
	records int
	err     error
}

// examineSegments reads the segments of a snapshot from the registry. A damaged one is
// not continued.
func (e *examiner) examineSegments(ctx context.Context, s *snapshot) (fault error) {
	budget, end := newBudget(ctx)
	defer end()
	records := 0
	for _, d := range s.segments {
		look, done := e.segments[d.Digest]
		if !done {
			look = e.readDirectly(ctx, budget, d)
			e.segments[d.Digest] = look
		}
		records += look.records
		if look.err == nil {
			continue
		}
		fault = errors.Join(fault, fmt.Errorf("segment %s: %w", d.Digest, look.err))
		if isDamage(look.err) {
			e.log.known.mu.Lock()
			e.log.known.segments[d.Digest] = &segment{descriptor: d, fault: look.err}
			e.log.known.mu.Unlock()
		}
	}
	if records == 0 && fault == nil {
		return errEmpty
	}
	return fault
}

func (e *examiner) readDirectly(ctx context.Context, budget *budget, d ocispec.Descriptor) (look segmentLook) {
	var blob []byte
	if blob, look.err = e.from.Blob(ctx, d); look.err != nil {
		return look
	}
	for n, err := range lines(blob, budget) {
		switch {
		case errors.Is(err, errSpent), budget.ctx.Err() != nil:
			look.err = fmt.Errorf("%w: %w", entry.ErrUnreachable, err)
			return look
		case err != nil:
			look.err = fmt.Errorf("%w: %w", entry.ErrMalformed, err)
			return look
		}
		if _, err := n.open(); err == nil {
			look.records++
		}
	}
	return look
}

// besideTag is the tag of an artifact beside the log: what it holds, and the beginning
// of its digest.
var besideTag = regexp.MustCompile(`^(_status|_locations)\.[0-9a-z]{9}\.[sl]([0-9a-f]{16})$`)

// maxBeside bounds the artifacts of one kind that readers take.
const maxBeside = 16

// examineBeside reads the artifacts beside the log that readers take: the newest
// status, and the newest locations.
func (e *examiner) examineBeside(ctx context.Context) (faults []Artifact) {
	byKind := map[string][]string{}
	for _, tag := range e.view.all {
		if parts := besideTag.FindStringSubmatch(tag); parts != nil {
			byKind[parts[1]] = append(byKind[parts[1]], tag)
		}
	}
	for kind, most := range map[string]int{"_status": 1, "_locations": maxBeside} {
		tags := byKind[kind]
		slices.Sort(tags) // by time: it has always as many digits
		for _, tag := range tags[max(0, len(tags)-most):] {
			err := e.readBeside(ctx, tag)
			switch {
			case err == nil:
			case isDamage(err):
				faults = append(faults, Artifact{tag, Damaged, err})
			default:
				faults = append(faults, Artifact{tag, Unclear, err})
			}
		}
	}
	slices.SortFunc(faults, func(a, b Artifact) int { return strings.Compare(a.Tag, b.Tag) })
	return faults
}

func (e *examiner) readBeside(ctx context.Context, tag string) error {
	_, manifest, err := e.from.Manifest(ctx, tag)
	if err != nil {
		return err
	}
	if sum := digest.FromBytes(manifest); !strings.HasPrefix(sum.Encoded(), besideTag.FindStringSubmatch(tag)[2]) {
		return fmt.Errorf("%w: tag %s holds another manifest than it was made for, %s", entry.ErrMalformed, tag, sum)
	}
	return e.lookForBlobs(ctx, manifest)
}

// SnapshotRecords calls use with every valid record of the snapshots that were read, one
// after another, each revision once.
func (l *Log) SnapshotRecords(ctx context.Context, use func(Record)) error {
	l.known.mu.Lock()
	snapshots := slices.Clone(l.snapshots)
	l.known.mu.Unlock()
	seen, used := map[digest.Digest]bool{}, map[revision.Tag]bool{}
	for i := len(snapshots) - 1; i >= 0; i-- { // the newest first
		for _, d := range snapshots[i].segments {
			if seen[d.Digest] {
				continue
			}
			seen[d.Digest] = true
			blob, err := l.target.Blob(ctx, d)
			if err != nil {
				continue // Examine says so
			}
			budget, end := newBudget(ctx)
			for n, err := range lines(blob, budget) {
				if err != nil {
					break
				}
				if used[n.tag] {
					continue
				}
				if o, err := n.open(); err == nil {
					used[n.tag] = true
					use(Record{Tag: n.tag, Manifest: o.manifest, Signatures: o.signatures, From: "a snapshot"})
				}
			}
			end()
		}
	}
	if ctx.Err() != nil {
		return timedOut(ctx)
	}
	return nil
}
