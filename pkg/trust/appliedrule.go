package trust

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// AppliedRule is the rule of a policy that applies to a name of a catalog. It is
// bound to its policy: what it says is by that policy's trusted root. Nil is that
// no rule applies, and trusts nobody. It is safe for concurrent use.
type AppliedRule struct {
	policy *Policy
	rule   *Rule
}

// For returns the rule that applies to a name of a catalog: the most specific one,
// of two alike the first, else the default rule. The rule whose patterns have more
// characters other than * is the more specific one; the catalog's pattern counts
// first. It is nil where none applies; then nobody is trusted.
func (p *Policy) For(catalog, name string) *AppliedRule {
	rule := p.defaultRule
	if applying := p.applying(catalog, name); len(applying) > 0 {
		rule = applying[0]
	}
	if rule == nil {
		return nil
	}
	return &AppliedRule{p, rule}
}

// applying returns the rules that apply, the most specific one first.
func (p *Policy) applying(catalog, name string) []*Rule {
	var all []*Rule
	for _, rule := range p.rules {
		if rule.appliesTo(catalog, name) {
			all = append(all, rule)
		}
	}
	slices.SortStableFunc(all, func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(specificity(b.Catalog), specificity(a.Catalog)), cmp.Compare(specificity(b.Name), specificity(a.Name)))
	})
	return all
}

// specificity counts the characters of a pattern that stand for themselves.
func specificity(pattern string) int { return len(strings.ReplaceAll(pattern, "*", "")) }

// Policy returns the policy that the rule is of; nil for no rule.
func (a *AppliedRule) Policy() *Policy {
	if a == nil {
		return nil
	}
	return a.policy
}

// String is what reports call the rule, which is unique in its policy; "" for no
// rule.
func (a *AppliedRule) String() string {
	if a == nil {
		return ""
	}
	return a.rule.where
}

// Warns reports whether what fails the rule is reported and not refused.
func (a *AppliedRule) Warns() bool { return a != nil && a.rule.Warn }

// Subjects are what the rule requires to be signed, in the order of checks.
func (a *AppliedRule) Subjects() []Subject {
	if a == nil {
		return []Subject{SubjectEntry}
	}
	return a.rule.subjects()
}

// Admits reports whether the rule allows what was published in a catalog, given
// the normal form of its reference; "" is what does not say where it was.
func (a *AppliedRule) Admits(catalog string) bool {
	if a == nil || len(a.rule.Origins) == 0 {
		return true
	}
	return catalog != "" && slices.ContainsFunc(a.rule.Origins, func(pattern string) bool { return normal.Match(pattern, catalog) })
}
