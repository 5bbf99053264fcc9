package catalog_test

import (
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Where the policy only warns of what is not signed, those who edit unsigned lose
// nothing of each other: what they write counts for one another.
func TestUnsignedEditorsUnderARuleThatWarns(t *testing.T) {
	e := newEditors(t)
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{team(t).Signer.PublicKey()}, Warn: true})
	if err != nil {
		t.Fatal(err)
	}
	word := func(clock time.Duration, word string) {
		c := e.open(catalog.Options{CacheDir: t.TempDir(), StateDir: t.TempDir(), Policy: policy, Now: func() time.Time { return e.now.Add(clock) }})
		if _, err := c.Edit(t.Context(), "app", entry.Change{AddTags: []string{word}}, catalog.EditOptions{}); err != nil {
			t.Errorf("edit %s: %v", word, err)
		}
	}
	e.others.between(func() { word(-time.Minute, "hidden") }, func() { word(0, "upon") })
	word(0, "hides")
	e.wantTags("hidden", "hides", "upon")
}
