package trust

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Explain says in sentences which rule applies to a name of a catalog, why that
// one, and what it requires.
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
	if applied := p.For(catalog, name); applied.rule != nil {
		lines = append(lines, applied.rule.explain())
	}
	return lines
}

func orAny(pattern string) string { return cmp.Or(pattern, "**") }

// explain says what the rule requires, and what becomes of what fails it.
func (r *Rule) explain() string {
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
	if r.Warn {
		consequence = "what fails is reported and not refused"
	}
	var what []string
	for _, subject := range r.subjects() {
		what = append(what, string(subject))
	}
	return fmt.Sprintf("it wants the %s signed by %s%s%s; %s", strings.Join(what, " and the "), who, strings.Join(r.sortedSigners(), ", "), where, consequence)
}
