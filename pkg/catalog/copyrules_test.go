package catalog_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A head that readers of the destination would refuse would hide from them what they
// have: the rule for the destination is asked, too, if there is one.
func TestCopyAsksTheRuleForTheDestination(t *testing.T) {
	t.Parallel()
	w, team1, team2 := newCopyWorlds(t, true), team(t), team(t)
	c := w.src.open(catalog.Options{})
	for name, sign := range map[string]*catalog.Signing{"ours": team1, "theirs": team2, "nobodys": nil} {
		w.src.publish(c, w.src.push("os/"+name, "1", name), catalog.PublishOptions{Name: name, Sign: sign})
	}
	rule := func(of string, signings ...*catalog.Signing) *trust.Rule {
		made := &trust.Rule{Catalog: of}
		for _, s := range signings {
			made.Keys = append(made.Keys, s.Signer.PublicKey())
		}
		return made
	}
	src, dst := c.Reference(), w.dst.open(catalog.Options{}).Reference()
	source, destination := "by the rule for "+src+": ", "by the rule for "+dst+": "
	warns := rule(dst, team2)
	warns.Warn = true
	for _, tt := range []struct {
		name  string
		rules []*trust.Rule
		want  map[string]string // names that are kept back, and how the reason begins
	}{
		{"both refuse what is theirs", []*trust.Rule{rule(src, team1, team2), rule(dst, team2)}, map[string]string{"nobodys": source, "ours": destination}},
		{"none for the destination", []*trust.Rule{rule(src, team1)}, map[string]string{"nobodys": source, "theirs": source}},
		{"one for both", []*trust.Rule{rule("", team1)}, map[string]string{"nobodys": source, "theirs": source}},
		{"that of the destination warns", []*trust.Rule{rule(src, team1), warns}, map[string]string{"nobodys": source, "theirs": source}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policy, err := trust.NewPolicy(nil, nil, tt.rules...)
			if err != nil {
				t.Fatal(err)
			}
			result, err := w.src.open(catalog.Options{Policy: policy}).Copy(t.Context(), w.dst.open(catalog.Options{}), catalog.CopyOptions{DryRun: true})
			if !errors.Is(err, entry.ErrUntrusted) || len(result.KeptBack) != len(tt.want) {
				t.Errorf("%v, kept back %+v, want %v", err, result.KeptBack, tt.want)
			}
			for _, kept := range result.KeptBack {
				if want := tt.want[kept.Name]; want == "" || !strings.HasPrefix(kept.Reason, want) {
					t.Errorf("%s is kept back: %q, want it to begin with %q", kept.Name, kept.Reason, want)
				}
			}
		})
	}
	// A file is no catalog that has readers: what it is called has no rule.
	path := filepath.Join(t.TempDir(), "backup.tar")
	policy, err := trust.NewPolicy(nil, nil, rule(src, team1, team2), rule("", team1))
	if err != nil {
		t.Fatal(err)
	}
	result, err := w.src.open(catalog.Options{Policy: policy}).Backup(t.Context(), path, catalog.BackupOptions{})
	if !errors.Is(err, entry.ErrUntrusted) || len(result.KeptBack) != 1 || result.KeptBack[0].Name != "nobodys" {
		t.Errorf("a backup kept back %+v, %v, want what nobody signed alone", result.KeptBack, err)
	}
}
