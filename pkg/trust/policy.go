package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Policy says who must have signed what (schema/policy.v1.schema.json). It is
// immutable and safe for concurrent use.
type Policy struct {
	rules       []*Rule
	defaultRule *Rule
	root        *Root // nil: no keyless signature is believed
	hash        string
}

// Require says what must be signed.
type Require string

// What a rule can require. The zero Require is RequireEntry.
const (
	RequireEntry Require = "entry"
	RequireImage Require = "image"
	RequireBoth  Require = "both"
)

// Rule says who must have signed the entries that it applies to.
type Rule struct {
	Catalog string  // pattern of catalog references; "" is every catalog
	Name    string  // pattern of entry names; "" is every name
	Require Require // what must be signed
	Mode    Mode    // what becomes of entries that fail
	All     bool    // every key and identity must have signed, not any one
	// Threshold is how many distinct signers must have signed; 0 is 1, and All
	// needs none. A key or an identity that is named twice is one signer, and
	// whoever signed counts as one of them, whatever names would fit.
	Threshold int
	Keys      []*PublicKey
	// Origins are patterns of the catalogs, in normal form, that an entry may
	// have been published in; none is any, said or not.
	Origins []string
	// Identities are keyless signers; they need a trusted root.
	Identities []*Identity

	where string // how reports name the rule
}

// Mode says what becomes of entries that fail their rule.
type Mode string

// The modes. The zero Mode is Enforce.
const (
	Enforce Mode = "enforce"
	Warn    Mode = "warn"
)

// Warn reports whether the rule only warns.
func (r *Rule) Warn() bool { return r != nil && r.Mode == Warn }

// Admits reports whether the rule takes what was published in a catalog, given
// the normal form of its reference; "" is not said.
func (r *Rule) Admits(catalog string) bool {
	if r == nil || len(r.Origins) == 0 {
		return true
	}
	return catalog != "" && slices.ContainsFunc(r.Origins, func(pattern string) bool { return normal.Match(pattern, catalog) })
}

// Subjects are what the rule requires to be signed, in the order of checks.
func (r *Rule) Subjects() []string {
	switch {
	case r != nil && r.Require == RequireImage:
		return []string{Image}
	case r != nil && r.Require == RequireBoth:
		return []string{Entry, Image}
	}
	return []string{Entry}
}

// String names the rule; no rule at all has the empty name.
func (r *Rule) String() string {
	if r == nil {
		return ""
	}
	return r.where
}

// NewPolicy makes a policy of rules; root may be nil where no rule names an identity.
// Rules that name nobody, a policy without rules, and identities without a
// root are an entry.ErrInvalid: they would check nothing.
func NewPolicy(root *Root, defaultRule *Rule, rules ...*Rule) (*Policy, error) {
	p := &Policy{rules: rules, defaultRule: defaultRule, root: root}
	all := rules
	if defaultRule != nil {
		all = append(all[:len(all):len(all)], defaultRule)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: policy: no rules: it would check nothing", entry.ErrInvalid)
	}
	for i, rule := range all {
		if rule.where == "" {
			rule.where = fmt.Sprintf("rule %d", i+1)
		}
		if rule == defaultRule {
			rule.where = "the default rule"
		}
		if err := rule.check(root); err != nil {
			return nil, fmt.Errorf("policy: %s: %w", rule, err)
		}
	}
	p.hash = p.digest(all)
	return p, nil
}

func (r *Rule) check(root *Root) error {
	switch r.Require {
	case "", RequireEntry, RequireImage, RequireBoth:
	default:
		return fmt.Errorf("%w: require %q: want entry, image or both", entry.ErrInvalid, r.Require)
	}
	switch r.Mode {
	case "", Enforce, Warn:
	default:
		return fmt.Errorf("%w: mode %q: want enforce or warn", entry.ErrInvalid, r.Mode)
	}
	if len(r.Keys)+len(r.Identities) == 0 {
		return fmt.Errorf("%w: it names no key and no identity: it would check nothing", entry.ErrInvalid)
	}
	for _, identity := range r.Identities {
		if root == nil {
			return fmt.Errorf("%w: it names an identity, and there is no trusted root to check it by", entry.ErrInvalid)
		}
		if err := identity.compile(); err != nil {
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

// Enforced is the policy with every rule that only warns enforced.
func (p *Policy) Enforced() *Policy {
	strict := *p
	enforce := func(r *Rule) *Rule {
		if r == nil {
			return nil
		}
		enforced := *r
		enforced.Mode = Enforce
		return &enforced
	}
	strict.rules = nil
	for _, r := range p.rules {
		strict.rules = append(strict.rules, enforce(r))
	}
	strict.defaultRule = enforce(p.defaultRule)
	return &strict
}

// Hash is the digest of all that decides, and of how signers are called: rules,
// keys and trusted root.
// What one policy verified says nothing under another.
func (p *Policy) Hash() string { return p.hash }

func (p *Policy) digest(rules []*Rule) string {
	h := sha256.New()
	part := func(text string) { fmt.Fprintf(h, "%d:%s\n", len(text), text) }
	part("caib trust policy, version 2") // 2: sigstore-go judges
	for _, r := range rules {
		for _, text := range []string{r.where, r.Catalog, r.Name, string(r.Require), string(r.Mode), fmt.Sprint(r.All, r.Threshold, len(r.Keys), len(r.Identities))} {
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
