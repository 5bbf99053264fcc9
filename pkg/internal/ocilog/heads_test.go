package ocilog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func heads(t *testing.T, log *Log) (view *View, live []HeadRef, empty bool) {
	t.Helper()
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live, others, err := view.HeadRefs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return view, live, len(live)+len(others) == 0
}

// Heads are those of Live, and of what was decoded once, nothing is decoded or
// asked for again.
func TestLiveHeads(t *testing.T) {
	target, c := newMemory(), &clock{}
	if _, live, empty := heads(t, newLog(target, "test", Options{})); len(live) > 0 || !empty {
		t.Errorf("of nothing: %v, empty %t", live, empty)
	}
	fill(t, target, c, 100)
	writer := newLog(target, "writer", Options{})
	for _, packed := range []*revision.Packed{removal(t, "entry-0007", c.Now()), publication(t, "entry-0008", c.Now(), "2")} {
		if err := writer.Append(t.Context(), packed, nil); err != nil {
			t.Fatal(err)
		}
	}
	pushRaw(t, target, "entry-0009", c.Now(), `{"schemaVersion":2}`)
	log := newLog(target, "test", Options{})
	view, live, empty := heads(t, log)
	revisions, err := liveOf(t.Context(), view, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var want []HeadRef
	for _, revision := range revisions {
		want = append(want, HeadRef{Tag: revision.Tag, Digest: revision.Digest})
	}
	if diff := cmp.Diff(want, live); diff != "" || len(live) != 99 || empty {
		t.Errorf("%d heads, empty %t\n%s", len(live), empty, diff)
	}
	log.Release()
	requests := target.counted(func() {
		if _, again, _ := heads(t, log); !cmp.Equal(live, again) {
			t.Errorf("after a release: %v", cmp.Diff(live, again))
		}
	})
	if diff := cmp.Diff(map[string]int{"tags": 1}, requests); diff != "" || log.decoded.Len() > 0 {
		t.Errorf("%d revisions are decoded again\n%s", log.decoded.Len(), diff)
	}
	loaded, err := view.Revisions(t.Context(), live[7:9])
	if err != nil || loaded[0].Document.Name != "entry-0008" || loaded[0].Document.Version != "2" || loaded[1].Document.Name != "entry-0009" {
		t.Errorf("loaded %+v, error %v", loaded, err)
	}
	if n := log.decoded.Len(); n != 2 {
		t.Errorf("%d revisions are decoded for two", n)
	}
}

// What the registry deleted is no head, sound or not; a removal alone is not
// nothing.
func TestHeadsThatAreGone(t *testing.T) {
	target, c := newMemory(), &clock{}
	log := newLog(target, "test", Options{})
	packed := publication(t, "a", c.Now(), "1")
	if err := log.Append(t.Context(), packed, nil); err != nil {
		t.Fatal(err)
	}
	if _, live, _ := heads(t, log); len(live) != 1 {
		t.Fatalf("%v", live)
	}
	target.mu.Lock()
	delete(target.tags, packed.Tag.String())
	target.mu.Unlock()
	if _, live, empty := heads(t, log); len(live) != 0 || !empty {
		t.Errorf("after it was deleted: %v, empty %t", live, empty)
	}
	if err := log.Append(t.Context(), removal(t, "a", c.Now()), nil); err != nil {
		t.Fatal(err)
	}
	if _, live, empty := heads(t, log); len(live) != 0 || empty {
		t.Errorf("after a removal: %v, empty %t", live, empty)
	}
}
