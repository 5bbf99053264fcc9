package ocilog

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
	last, removal := map[string]revision.Tag{}, map[string]revision.Tag{}
	for _, tag := range e.view.listed {
		if fault := e.faults[tag]; fault != nil && errors.Is(fault.Err, entry.ErrMalformed) {
			continue // what is no revision stands in front of nothing
		}
		last[tag.Name] = tag
		if tag.Op == revision.OpRemove {
			removal[tag.Name] = tag
		}
	}
	var ask []revision.Tag
	for _, tag := range e.view.tags {
		if e.view.unlisted[tag] && (last[tag.Name].Compare(tag) < 0 || tag.Op == revision.OpRemove && removal[tag.Name].Compare(tag) < 0) {
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
	for _, fault := range e.faults {
		if fault.Record == nil {
			continue
		}
		if found, err := e.log.decode(fault.Tag, digest.FromBytes(fault.Record.Manifest), fault.Record.Manifest); err == nil {
			e.add(found)
		} else {
			fault.Record = nil // no revision: nothing is mended by it
		}
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
