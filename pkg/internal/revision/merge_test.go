package revision

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oci-catalog/caib/pkg/entry"
)

// An edit is made once more on top of what others changed, and undoes nothing of that.
func TestReapplied(t *testing.T) {
	yes, no, note, other := true, false, "booted", "slow"
	edit := func(d *Document, change *entry.Change) *Document {
		t.Helper()
		after, err := d.Changed(change)
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	for _, tt := range []struct {
		name         string
		mine, theirs entry.Change
		want         entry.Change // of the document that both began with
	}{
		{"text", entry.Change{Set: map[string]string{"version": "2"}}, entry.Change{Set: map[string]string{"distro": "cs9"}}, entry.Change{Set: map[string]string{"version": "2", "distro": "cs9"}}},
		{"text that is cleared", entry.Change{Set: map[string]string{"version": ""}}, entry.Change{Set: map[string]string{"description": "d"}}, entry.Change{Set: map[string]string{"version": "", "description": "d"}}},
		{"the same member", entry.Change{Set: map[string]string{"version": "2"}}, entry.Change{Set: map[string]string{"version": "3"}}, entry.Change{Set: map[string]string{"version": "2"}}},
		{"bootc", entry.Change{Bootc: &no}, entry.Change{AddTags: []string{"x"}}, entry.Change{Bootc: &no, AddTags: []string{"x"}}},
		{"tags", entry.Change{AddTags: []string{"b"}, RemoveTags: []string{"qa"}}, entry.Change{AddTags: []string{"c"}}, entry.Change{AddTags: []string{"c", "b"}, RemoveTags: []string{"qa"}}},
		{"all tags", entry.Change{ClearTags: true}, entry.Change{AddTags: []string{"c"}}, entry.Change{ClearTags: true, AddTags: []string{"c"}}},
		{"labels", entry.Change{SetLabels: map[string]string{"a": "1"}, RemoveLabels: []string{"team"}}, entry.Change{SetLabels: map[string]string{"b": "2"}}, entry.Change{SetLabels: map[string]string{"a": "1", "b": "2"}, RemoveLabels: []string{"team"}}},
		{"targets", entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Verified: &yes}, {Name: "j784s4"}}}, entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Notes: &note}, {Name: "qemu", Remove: true}}},
			entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Verified: &yes, Notes: &note}, {Name: "qemu", Remove: true}, {Name: "j784s4"}}}},
		{"a target that they removed", entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Notes: &other}}}, entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Remove: true}}}, entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Remove: true}}}},
	} {
		begun := sampleDocument("a")
		got, err := edit(begun, &tt.theirs).Reapplied(begun, edit(begun, &tt.mine))
		if diff := cmp.Diff(edit(begun, &tt.want), got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
		if diff := cmp.Diff(edit(begun, &tt.mine), must(begun.Reapplied(begun, edit(begun, &tt.mine))), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s, on what it was made from:\n%s", tt.name, diff)
		}
	}
}

func must(d *Document, err error) *Document {
	if err != nil {
		panic(err)
	}
	return d
}

// The revisions that an edit was made from are hashes, as many as fit; anything else
// says nothing.
func TestBases(t *testing.T) {
	var hashes []string
	for i := range 20 {
		hashes = append(hashes, fmt.Sprintf("%016x", i))
	}
	if text := basesText(hashes); len(text) > maxFacet || !slices.Equal(parseBases(text), hashes[:15]) {
		t.Errorf("%d bytes, read as %v; want the first 15", len(text), parseBases(text))
	}
	for _, text := range []string{"", " ", "x", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef ", "0123456789abcdef  0123456789abcdef", "0123456789abcdef,0123456789abcdef", strings.Repeat("0123456789abcdef ", 15) + "0123456789abcdef"} {
		annotations, err := jsontext.AppendQuote([]byte(`{"vnd.caib.catalog.base":`), text)
		if err != nil {
			t.Fatal(err)
		}
		if _, bases := saidIn(append(annotations, '}')); bases != nil {
			t.Errorf("%q is read as %v, want that it says nothing", text, bases)
		}
	}
	if _, bases := saidIn(jsontext.Value(`{"vnd.caib.catalog.base":["0123456789abcdef"]}`)); bases != nil {
		t.Errorf("a list is read as %v", bases)
	}
}
