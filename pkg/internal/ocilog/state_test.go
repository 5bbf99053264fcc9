package ocilog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func headOf(packed *revision.Packed) head {
	return head{Tag: packed.Tag.String(), Digest: packed.Descriptor.Digest}
}

// names of what a state keeps of a log.
func keptTags(t *testing.T, s *State) []string {
	t.Helper()
	var tags []string
	for tag := range s.load(t.Context(), "log").heads {
		tags = append(tags, tag.String())
	}
	slices.Sort(tags)
	return tags
}

// Writers at once lose nothing of each other's.
func TestStatesAreShared(t *testing.T) {
	dir, c := t.TempDir(), &clock{}
	var group sync.WaitGroup
	var want []string
	for w := range 8 {
		for i := range 25 {
			packed := publication(t, fmt.Sprintf("w%d-e%02d", w, i), c.Now(), "1")
			want = append(want, packed.Tag.String())
			group.Go(func() {
				if err := NewState(dir).add(t.Context(), "log", []head{headOf(packed)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	testwait.Return(t, "the writers", group.Wait)
	slices.Sort(want)
	if diff := cmp.Diff(want, keptTags(t, NewState(dir))); diff != "" {
		t.Error(diff)
	}
}

// A line that a crash cut off is skipped, and takes no other with it.
func TestACutLineOfAState(t *testing.T) {
	s, c := NewState(t.TempDir()), &clock{}
	var want []string
	for i := range 3 {
		packed := publication(t, fmt.Sprint("e", i), c.Now(), "1")
		if err := s.add(t.Context(), "log", []head{headOf(packed)}); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			text, err := os.ReadFile(s.path("log"))
			if err == nil {
				err = os.WriteFile(s.path("log"), text[:len(text)-20], 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		want = append(want, packed.Tag.String())
	}
	if diff := cmp.Diff(want, keptTags(t, s)); diff != "" {
		t.Error(diff)
	}
}

// A state is bounded by the names that were seen, not by how often they changed.
func TestAStateIsBounded(t *testing.T) {
	s, c := NewState(t.TempDir()), &clock{}
	var last string
	size := 0
	for range 5 {
		for range 300 {
			packed := publication(t, "a", c.Now(), "1")
			last = packed.Tag.String()
			if err := s.add(t.Context(), "log", []head{headOf(packed)}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{last}, keptTags(t, s)); diff != "" {
			t.Fatal(diff)
		}
		info, err := os.Stat(s.path("log"))
		if err != nil {
			t.Fatal(err)
		}
		size = max(size, int(info.Size()))
	}
	if size > 1000 {
		t.Errorf("%d bytes for one name, once it was read", size)
	}
}

// What an unsigned head followed is kept beside it: both may vanish.
func TestAStateKeepsTheLastVerified(t *testing.T) {
	s, c := NewState(t.TempDir()), &clock{}
	signed, unsigned, last := publication(t, "a", c.Now(), "1"), publication(t, "a", c.Now(), "2"), publication(t, "a", c.Now(), "3")
	verified := headOf(signed)
	verified.Verified = true
	verified.Signatures = []jsontext.Value{jsontext.Value(`{"a":1}`)}
	for _, h := range []head{verified, headOf(unsigned), headOf(last)} {
		if err := s.add(t.Context(), "log", []head{h}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{signed.Tag.String(), last.Tag.String()}, keptTags(t, s)); diff != "" {
		t.Error(diff)
	}
}

// Neither many names of strangers, nor many heads of theirs that are gone, take the
// place of what was verified, or of names that stand.
func TestAStateIsNoPlaceToCrowdOut(t *testing.T) {
	dir, c := t.TempDir(), &clock{}
	signed, other := publication(t, "a", c.Now(), "1"), publication(t, "b", c.Now(), "1")
	lost, absent := headOf(signed), publication(t, "c", c.Now(), "1")
	lost.Verified, lost.Absent = true, true
	gone := headOf(absent)
	gone.Absent = true
	if err := NewState(dir).add(t.Context(), "log", []head{lost, headOf(other), gone}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var strange []head
		for i := range 4 * maxAbsent {
			strange = append(strange, headOf(publication(t, fmt.Sprint("strange-", i), c.Now(), "1")))
			h := headOf(publication(t, "a", c.Now(), "2"))
			h.Absent = true
			strange = append(strange, h)
			h = headOf(publication(t, fmt.Sprint("withdrawn-", i), c.Now(), "1"))
			h.Absent = true
			strange = append(strange, h)
		}
		if err := NewState(dir).add(t.Context(), "log", strange); err != nil {
			t.Fatal(err)
		}
		kept := NewState(dir).load(t.Context(), "log").heads // rewrites the file
		for what, packed := range map[string]*revision.Packed{"verified": signed, "standing": other, "absent": absent} {
			if _, ok := kept[packed.Tag]; !ok {
				t.Errorf("the %s head %s is not kept among %d others", what, packed.Tag, len(kept))
			}
		}
	}
}

func TestAStateThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	s := NewState(filepath.Join(file, "below"))
	if err := s.add(t.Context(), "log", []head{headOf(publication(t, "a", epoch, "1"))}); err == nil {
		t.Error("no error")
	}
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 3)
	if got, warnings := live(t, newLog(target, "test", Options{State: s})); cmp.Diff(names, got) != "" || len(warnings) > 0 {
		t.Errorf("%v, warnings %v: want all, without a policy and without a word", got, warnings)
	}
	if _, warnings := live(t, newLog(target, "test", Options{State: s, HasEntrySignatures: trusting(true)})); len(warnings) != 1 {
		t.Errorf("warnings %v, want one that nothing is kept", warnings)
	}
}
