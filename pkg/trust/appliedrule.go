package trust

import (
	"cmp"
	"slices"
	"strings"
)

// AppliedRule is the rule of a policy that applies to a name of a catalog. It is
// bound to its policy: what it says is by that policy's trusted root. Its fields
// describe it, and changing them does not change what it decides. The zero value is
// that no rule applies, and trusts nobody. It is safe for concurrent use.
type AppliedRule struct {
	Name       string    // as reports call it, unique in its policy; "" for no rule
	PolicyHash string    // Policy.Hash of its policy
	Require    []Subject // what it requires to be signed, in the order of checks
	Warn       bool      // what fails it is reported and not refused
	Origins    []string  // patterns of the catalogs that an entry may have been published in; none is any

	policy *Policy
	rule   *Rule
}

// For returns the rule that applies to a name of a catalog: the most specific one,
// of two alike the first, else the default rule. The rule whose patterns have more
// characters other than * is the more specific one; the catalog's pattern counts
// first. Its Name is "" where none applies; then nobody is trusted.
func (p *Policy) For(catalog, name string) AppliedRule {
	rule := p.defaultRule
	if applying := p.applying(catalog, name); len(applying) > 0 {
		rule = applying[0]
	}
	return p.apply(rule)
}

// apply binds a rule, which may be nil, to the policy.
func (p *Policy) apply(rule *Rule) AppliedRule {
	if rule == nil {
		return AppliedRule{PolicyHash: p.hash, Require: rule.subjects()}
	}
	return AppliedRule{
		Name: rule.where, PolicyHash: p.hash, Require: rule.subjects(), Warn: rule.Warn, Origins: slices.Clone(rule.Origins),
		policy: p, rule: rule,
	}
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
