package revision

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
)

// tagAt names an event of a log that is easy to read: NAME.TIME.OP+DIGIT.
func tagAt(name string, millis int64, op Op, digit int) Tag {
	return Tag{Name: name, Millis: millis, Op: op, Hash: fmt.Sprintf("%016d", digit)}
}

func revisionOf(tag Tag) *Revision {
	revision := &Revision{Tag: tag}
	if tag.Op == OpRemove {
		revision.Removal = &Removal{Name: tag.Name}
	} else {
		revision.Document = &Document{Name: tag.Name}
	}
	return revision
}

func newerOf(tag Tag) *Revision { return &Revision{Tag: tag, Later: "application/x.v9"} }

// replay runs a replay against a log and returns its result, and the tags that
// were asked for, round by round.
func replay(log []Tag, held map[Tag]*Revision, asOf time.Time) (live, later []string, rounds [][]string) {
	r := NewReplay(log, asOf)
	for want := r.Undecided(); len(want) > 0; want = r.Undecided() {
		var round []string
		for _, tag := range want {
			round = append(round, tag.String())
		}
		r.Decide(held)
		rounds = append(rounds, round)
	}
	for _, head := range r.Heads() {
		switch {
		case head.Live():
			live = append(live, head.Tag.String())
		case head.Tag.Op == OpPublish:
			later = append(later, head.Tag.String())
		}
	}
	return live, later, rounds
}

func texts(all []Tag) (list []string) {
	for _, tag := range all {
		list = append(list, tag.String())
	}
	return list
}

func TestReplay(t *testing.T) {
	p, r := OpPublish, OpRemove
	type tags = []Tag
	for _, tt := range []struct {
		name    string
		log     tags // in any order
		missing tags
		newer   tags
		asOf    int64 // 0: now
		want    tags
		later   tags
	}{
		{name: "an empty log"},
		{name: "the newest publication", log: tags{tagAt("a", 1, p, 1), tagAt("a", 3, p, 1), tagAt("a", 2, p, 9)}, want: tags{tagAt("a", 3, p, 1)}},
		{name: "names in order", log: tags{tagAt("b", 1, p, 1), tagAt("a", 2, p, 1), tagAt("a.b", 3, p, 1)}, want: tags{tagAt("a", 2, p, 1), tagAt("a.b", 3, p, 1), tagAt("b", 1, p, 1)}},
		{name: "removed", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, r, 1)}},
		{name: "published again", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, r, 1), tagAt("a", 3, p, 2)}, want: tags{tagAt("a", 3, p, 2)}},
		{name: "two at one instant: the later text wins", log: tags{tagAt("a", 1, p, 2), tagAt("a", 1, p, 1)}, want: tags{tagAt("a", 1, p, 2)}},
		{name: "publication and removal at one instant: r comes after p", log: tags{tagAt("a", 1, r, 1), tagAt("a", 1, p, 9)}},
		{name: "a tag that is no revision", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, p, 1), tagAt("a", 3, r, 1)}, missing: tags{tagAt("a", 2, p, 1), tagAt("a", 3, r, 1)}, want: tags{tagAt("a", 1, p, 1)}},
		{name: "no revision at all", log: tags{tagAt("a", 1, p, 1)}, missing: tags{tagAt("a", 1, p, 1)}},
		{name: "as of an instant", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, p, 2), tagAt("a", 3, r, 1), tagAt("b", 3, p, 1)}, asOf: 2, want: tags{tagAt("a", 2, p, 2)}},
		{name: "as of before everything", log: tags{tagAt("a", 2, p, 1)}, asOf: 1},
		{name: "as of, with a fallback", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, p, 2), tagAt("a", 3, p, 3)}, missing: tags{tagAt("a", 2, p, 2)}, asOf: 2, want: tags{tagAt("a", 1, p, 1)}},
		{name: "a later format hides the older ones", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, p, 2), tagAt("b", 1, p, 1)}, newer: tags{tagAt("a", 2, p, 2)}, want: tags{tagAt("b", 1, p, 1)}, later: tags{tagAt("a", 2, p, 2)}},
		{name: "a removal in a later format removes", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, r, 2)}, newer: tags{tagAt("a", 2, r, 2)}},
		{name: "a later format that was followed", log: tags{tagAt("a", 1, p, 1), tagAt("a", 2, p, 2)}, newer: tags{tagAt("a", 1, p, 1)}, want: tags{tagAt("a", 2, p, 2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var listed []string
			held := map[Tag]*Revision{}
			for _, tag := range tt.log {
				listed = append(listed, tag.String())
				held[tag] = revisionOf(tag)
			}
			for _, tag := range tt.missing {
				held[tag] = nil
			}
			for _, tag := range tt.newer {
				held[tag] = newerOf(tag)
			}
			asOf := time.Time{}
			if tt.asOf > 0 {
				asOf = time.UnixMilli(tt.asOf).Add(999 * time.Microsecond)
			}
			log, _ := ParseTags(listed)
			live, newer, _ := replay(log, held, asOf)
			if diff := cmp.Diff(texts(tt.want), live); diff != "" {
				t.Errorf("live:\n%s", diff)
			}
			if diff := cmp.Diff(texts(tt.later), newer); diff != "" {
				t.Errorf("of a later format:\n%s", diff)
			}
		})
	}
}

func TestReplayAsksForLittle(t *testing.T) {
	var log []Tag
	held := map[Tag]*Revision{}
	for i := range 50 {
		for _, name := range []string{"a", "b"} {
			tag := tagAt(name, int64(i), OpPublish, i)
			log = append(log, tag)
			held[tag] = revisionOf(tag)
		}
	}
	held[tagAt("b", 49, OpPublish, 49)] = nil
	_, _, rounds := replay(log, held, time.Time{})
	want := [][]string{
		{tagAt("a", 49, OpPublish, 49).String(), tagAt("b", 49, OpPublish, 49).String()},
		{tagAt("b", 47, OpPublish, 47).String(), tagAt("b", 48, OpPublish, 48).String()},
	}
	if diff := cmp.Diff(want, rounds); diff != "" {
		t.Error(diff)
	}
}

func TestReplayTakesDecisionsOnlyInOrder(t *testing.T) {
	old, last := tagAt("a", 1, OpPublish, 1), tagAt("a", 2, OpPublish, 2)
	r := NewReplay([]Tag{old, last}, time.Time{})
	never := tagAt("z", 1, OpPublish, 1)
	if diff := cmp.Diff([]Tag{last}, r.Undecided()); diff != "" || r.Head("a") != nil {
		t.Errorf("head %v\n%s", r.Head("a"), diff)
	}
	decided := revisionOf(last)
	r.Decide(map[Tag]*Revision{last: decided, old: revisionOf(old), never: revisionOf(never)})
	r.Decide(map[Tag]*Revision{old: revisionOf(old)})
	if got := r.Undecided(); len(got) != 0 || r.Head("a") != decided || r.Head("z") != nil {
		t.Errorf("undecided %v, head %v", got, r.Head("a"))
	}
}

// A flood of tags that are no revisions takes rounds that grow, not one a tag.
func TestReplayOfAFlood(t *testing.T) {
	log := make([]Tag, 3000)
	for i := range log {
		log[i] = tagAt("a", int64(i), OpPublish, i)
	}
	live, _, rounds := replay(log, map[Tag]*Revision{log[0]: revisionOf(log[0])}, time.Time{})
	if diff := cmp.Diff([]string{log[0].String()}, live); diff != "" || len(rounds) > 20 {
		t.Errorf("%d rounds, want at most 20\n%s", len(rounds), diff)
	}
}

func TestHeadOfARemovedName(t *testing.T) {
	tag := tagAt("a", 2, OpRemove, 1)
	r := NewReplay([]Tag{tagAt("a", 1, OpPublish, 1), tag}, time.Time{})
	removal := revisionOf(tag)
	r.Decide(map[Tag]*Revision{tag: removal})
	if heads := r.Heads(); r.Head("a") != removal || len(heads) != 1 || heads[0].Live() {
		t.Errorf("head %v, heads %v, want the removal alone", r.Head("a"), heads)
	}
}

func TestCurrent(t *testing.T) {
	p := func(millis int64) *Revision { return revisionOf(tagAt("a", millis, OpPublish, 1)) }
	r := func(millis int64) *Revision { return revisionOf(tagAt("a", millis, OpRemove, 1)) }
	newer := newerOf(tagAt("a", 9, OpPublish, 9))
	one, two, three, gone := p(1), p(2), p(3), r(2)
	for _, tt := range []struct {
		name string
		all  []*Revision
		want []*Revision
	}{
		{"none", nil, nil},
		{"never removed", []*Revision{one, two, three}, []*Revision{one, two, three}},
		{"removed", []*Revision{one, gone}, nil},
		{"published again", []*Revision{one, gone, three}, []*Revision{three}},
		{"in a later format", []*Revision{one, newer}, []*Revision{one, newer}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Current(tt.all)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEvent(t *testing.T) {
	published := mustUnpack(t, mustPack(t, fullDocument()))
	packed, err := PackRemoval(sampleRemoval("autosd"), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	removed := mustUnpack(t, packed)
	want := []entry.Event{{
		Name: "autosd.full", At: sampleTime, Operation: "publish", Version: "2.0.1+rc~1", By: "ci@build-7",
		Build: fullDocument().Build,
		Image: "registry.example.com/automotive/autosd:2.0.1", ImageDigest: fullDocument().Image.Digest,
		Revision: published.Digest, Tag: published.Tag.String(),
	}, {
		Name: "autosd", At: sampleRemoval("").RemovedAt, Operation: "remove", By: "ops@example.com", Reason: "superseded",
		Ends: sampleRemoval("").Revision, Revision: removed.Digest, Tag: removed.Tag.String(),
	}, {
		Name: "a", At: entry.NewTime(time.UnixMilli(5)), Operation: "publish", Tag: tagAt("a", 5, OpPublish, 1).String(), Format: "application/x.v9",
	}}
	got := []entry.Event{published.Event(), removed.Event(), newerOf(tagAt("a", 5, OpPublish, 1)).Event()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
