package revision

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// An image is the same where reference, however spelled, and digest are.
func TestDuplicates(t *testing.T) {
	at := int64(0)
	publication := func(name, reference, content string) *Revision {
		at++
		sum := digest.FromString(content)
		return &Revision{
			Tag:      NewTag(name, entry.NewTime(time.UnixMilli(at)), OpPublish, sum),
			Document: &Document{Name: name, Image: Image{Reference: reference, Digest: sum}},
		}
	}
	heads := []*Revision{
		publication("moved", "r.example.com/os:1", "old"),
		publication("second", "r.example.com/os:1", "new"),
		publication("other-tag", "r.example.com/os:2", "new"),
		publication("first", "r.example.com/b:1", "b"),
		publication("third", "R.EXAMPLE.COM/os:1", "new"),
		publication("alias", "r.example.com/b:1", "b"),
		{Tag: NewTag("removed", entry.NewTime(time.UnixMilli(1)), OpRemove, digest.FromString("r"))},
	}
	// What is earlier comes first, whatever the order of the heads.
	heads[3], heads[5] = heads[5], heads[3]
	var got [][]string
	for _, same := range Duplicates(heads, strings.ToLower) {
		var names []string
		for _, head := range same {
			names = append(names, head.Tag.Name)
		}
		got = append(got, names)
	}
	if diff := cmp.Diff([][]string{{"first", "alias"}, {"second", "third"}}, got); diff != "" {
		t.Errorf("duplicates (-want +got):\n%s", diff)
	}
}
