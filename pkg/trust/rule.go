package trust

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// Rule says who must have signed the entries that it applies to. It is given to
// NewPolicy, which copies it; Policy.For finds the one that applies.
type Rule struct {
	// Catalog and Name are patterns of the catalogs and of the entries that the
	// rule applies to: * stands for any characters but a slash, ** for any at
	// all. "" is every one.
	Catalog, Name string
	// Require is what must be signed: SubjectEntry, SubjectImage or both. None is
	// SubjectEntry.
	Require []Subject
	// Warn reports what fails the rule, and refuses nothing.
	Warn bool
	// All wants every key and identity to have signed, not any one.
	All bool
	// Threshold is how many distinct signers must have signed; 0 is 1, and All
	// needs none. A key or an identity that is named twice is one signer, and
	// whoever signed counts as one of them, whatever names would fit.
	Threshold int
	// Keys are signers with lasting keys.
	Keys []*PublicKey
	// Identities are keyless signers; they need a trusted root.
	Identities []Identity
	// Origins are patterns of the catalogs, in normal form, that an entry may
	// have been published in; none is any, said or not.
	Origins []string

	where string // what reports call the rule
}

// complete returns a copy that is valid, and called where in reports.
func (r *Rule) complete(where string, root *Root) (*Rule, error) {
	rule := *r
	rule.where = where
	rule.Identities = slices.Clone(r.Identities)
	if err := rule.check(root); err != nil {
		return nil, fmt.Errorf("policy: %s: %w", where, err)
	}
	return &rule, nil
}

func (r *Rule) check(root *Root) error {
	if requirement(r.Require) == "" && len(r.Require) > 0 {
		return fmt.Errorf("%w: require %q: want %s, %s or both", entry.ErrInvalid, r.Require, SubjectEntry, SubjectImage)
	}
	if len(r.Keys)+len(r.Identities) == 0 {
		return fmt.Errorf("%w: it names no key and no identity: it would check nothing", entry.ErrInvalid)
	}
	for i := range r.Identities {
		if root == nil {
			return fmt.Errorf("%w: it names an identity, and there is no trusted root to check it by", entry.ErrInvalid)
		}
		if err := r.Identities[i].compile(); err != nil {
			return err
		}
	}
	if err := r.checkSigners(); err != nil {
		return err
	}
	for _, pattern := range append([]string{r.Catalog, r.Name}, r.Origins...) {
		if err := checkPattern(pattern); err != nil {
			return err
		}
	}
	return nil
}

func checkPattern(pattern string) error {
	if len(pattern) > 1024 || strings.ContainsAny(pattern, "?[]\\") {
		return fmt.Errorf("%w: pattern %q: only * and ** stand for other characters", entry.ErrInvalid, signature.Shorten(pattern))
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%w: pattern %q: %v", entry.ErrInvalid, signature.Shorten(pattern), err)
	}
	return nil
}

// requirements are what policy files call what must be signed.
var requirements = map[string][]Subject{
	"entry": {SubjectEntry}, "image": {SubjectImage}, "both": {SubjectEntry, SubjectImage},
}

// requirement is what policy files call subjects, in whichever order; "" is what
// no file says.
func requirement(subjects []Subject) string {
	subjects = slices.Sorted(slices.Values(subjects))
	for text, of := range requirements {
		if slices.Equal(subjects, of) {
			return text
		}
	}
	return ""
}

// subjects are what must be signed, in the order of checks; also where no rule
// applies, for nil.
func (r *Rule) subjects() []Subject {
	if r == nil || len(r.Require) == 0 {
		return []Subject{SubjectEntry}
	}
	if required := requirement(r.Require); required != "" {
		return slices.Clone(requirements[required])
	}
	return []Subject{SubjectEntry}
}

// enforced is the rule without Warn; nil is nil.
func (r *Rule) enforced() *Rule {
	if r == nil {
		return nil
	}
	strict := *r
	strict.Warn = false
	return &strict
}

// appliesTo reports whether the rule is about a name of a catalog.
func (r *Rule) appliesTo(catalog, name string) bool {
	return normal.Match(r.Catalog, catalog) && entry.MatchPattern(r.Name, name)
}
