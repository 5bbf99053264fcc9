package trust

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// Patterns are those of entry.MatchPattern. The rule with more characters that
// are not * is the more specific one: the catalog's pattern counts first, then
// the name's.

func checkPattern(pattern string) error {
	if len(pattern) > 1024 || strings.ContainsAny(pattern, "?[]\\") {
		return fmt.Errorf("%w: pattern %q: only * and ** stand for other characters", entry.ErrInvalid, signature.Shorten(pattern))
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%w: pattern %q: %v", entry.ErrInvalid, signature.Shorten(pattern), err)
	}
	return nil
}

// specificity counts the characters of a pattern that stand for themselves.
func specificity(pattern string) int { return len(strings.ReplaceAll(pattern, "*", "")) }

// Applies reports whether the rule is about a name of a catalog.
func (r *Rule) Applies(catalog, name string) bool {
	return normal.Match(r.Catalog, catalog) && entry.MatchPattern(r.Name, name)
}

// Rule returns the rule for a name of a catalog: the most specific one that
// applies, of two alike the first, else the default rule. It is nil where none
// applies; then nobody is trusted.
func (p *Policy) Rule(catalog, name string) *Rule {
	if applying := p.applying(catalog, name); len(applying) > 0 {
		return applying[0]
	}
	return p.defaultRule
}

// applying returns the rules that apply, the most specific one first.
func (p *Policy) applying(catalog, name string) []*Rule {
	var all []*Rule
	for _, rule := range p.rules {
		if rule.Applies(catalog, name) {
			all = append(all, rule)
		}
	}
	slices.SortStableFunc(all, func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(specificity(b.Catalog), specificity(a.Catalog)), cmp.Compare(specificity(b.Name), specificity(a.Name)))
	})
	return all
}

// Explain says in sentences which rule applies to a name of a catalog, and why
// that one.
func (p *Policy) Explain(catalog, name string) []string {
	var lines []string
	applying := p.applying(catalog, name)
	for _, rule := range p.rules {
		why := "does not apply: its catalog pattern is " + orAny(rule.Catalog)
		switch {
		case slices.Contains(applying, rule) && rule == applying[0]:
			why = "applies, and is the most specific that does"
		case slices.Contains(applying, rule):
			why = "applies, but " + applying[0].where + " is more specific or comes first"
		case normal.Match(rule.Catalog, catalog):
			why = "does not apply: its name pattern is " + orAny(rule.Name)
		}
		lines = append(lines, fmt.Sprintf("%s (catalog %s, name %s) %s", rule.where, orAny(rule.Catalog), orAny(rule.Name), why))
	}
	switch {
	case len(applying) > 0:
	case p.defaultRule != nil:
		lines = append(lines, "no other rule applies, so the default rule does")
	default:
		lines = append(lines, "no rule applies and there is no default rule, so nobody is trusted to sign it")
	}
	if rule := p.Rule(catalog, name); rule != nil {
		lines = append(lines, rule.Terms())
	}
	return lines
}

func orAny(pattern string) string {
	if pattern == "" {
		return "**"
	}
	return pattern
}

// Terms says what the rule demands.
func (r *Rule) Terms() string {
	who := "any of "
	switch {
	case r.All:
		who = "all of "
	case r.Threshold > 1:
		who = fmt.Sprintf("at least %d of ", r.Threshold)
	}
	where := ""
	if len(r.Origins) > 0 {
		where = ", and published in " + strings.Join(r.Origins, " or ")
	}
	consequence := "what fails is refused"
	if r.Warn() {
		consequence = "what fails is reported and not refused"
	}
	return fmt.Sprintf("it wants the %s signed by %s%s%s; %s", strings.Join(r.Subjects(), " and the "), who, strings.Join(r.sortedSigners(), ", "), where, consequence)
}
