package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Policy says who must have signed what (schema/policy.v1.schema.json). It is
// immutable and safe for concurrent use.
type Policy struct {
	rules       []*Rule
	defaultRule *Rule
	root        *Root // nil: no keyless signature is believed
	hash        string
}

// NewPolicy makes a policy of rules; defaultRule, which may be nil, is for what no
// other rule applies to. root may be nil where no rule names an identity. Rules
// that name nobody, a policy without rules, and identities without a root are an
// entry.ErrInvalid: they would check nothing.
func NewPolicy(root *Root, defaultRule *Rule, rules ...*Rule) (*Policy, error) {
	p := &Policy{root: root}
	for i, given := range rules {
		rule, err := given.complete(fmt.Sprintf("rule %d", i+1), root)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, rule)
	}
	all := p.rules
	if defaultRule != nil {
		var err error
		if p.defaultRule, err = defaultRule.complete("the default rule", root); err != nil {
			return nil, err
		}
		all = append(all[:len(all):len(all)], p.defaultRule)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: policy: no rules: it would check nothing", entry.ErrInvalid)
	}
	p.hash = p.digest(all)
	return p, nil
}

// enforced is the policy with every rule that only warns enforced.
func (p *Policy) enforced() *Policy {
	strict := *p
	strict.rules = nil
	for _, r := range p.rules {
		strict.rules = append(strict.rules, r.enforced())
	}
	strict.defaultRule = p.defaultRule.enforced()
	return &strict
}

// Hash is the digest of all that decides, and of what signers are called: rules,
// keys and trusted root. What one policy verified says nothing under another.
func (p *Policy) Hash() string { return p.hash }

func (p *Policy) digest(rules []*Rule) string {
	h := sha256.New()
	part := func(text string) { fmt.Fprintf(h, "%d:%s\n", len(text), text) }
	part("caib trust policy, version 2") // 2: sigstore-go checks keyless signatures
	for _, r := range rules {
		mode := ""
		if r.Warn {
			mode = "warn"
		}
		for _, text := range []string{r.where, r.Catalog, r.Name, requirement(r.Require), mode, fmt.Sprint(r.All, r.Threshold, len(r.Keys), len(r.Identities))} {
			part(text)
		}
		part(fmt.Sprintf("%q", r.Origins))
		for _, key := range r.Keys {
			part(key.name) // a verdict that is remembered names its signer
			part(string(key.der))
		}
		for _, i := range r.Identities {
			part(i.subject.String())
			part(i.issuer.String())
		}
	}
	if p.root != nil {
		part(string(p.root.sum[:]))
	}
	return hex.EncodeToString(h.Sum(nil))
}
