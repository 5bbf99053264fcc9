package trust

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Evidence is what was found of the signatures of one digest. It is complete
// only if Err is nil; otherwise there may be more.
type Evidence struct {
	Signatures []Signature
	Gone       int // signatures that are listed, and that the registry does not have
	Err        error
}

// Check says whether the signatures of a digest satisfy a rule. It is the only
// place where anything becomes Verified: when the signers that the rule names
// were counted among sound signatures of this digest. A nil rule trusts
// nobody. It is pure, and safe for concurrent use.
func (p *Policy) Check(rule *Rule, what string, d digest.Digest, evidence Evidence) Check {
	check := Check{What: what, Digest: d, Result: Unknown}
	if rule == nil {
		check.Result, check.Reason = Untrusted, "no rule of the policy applies to it, so nobody is trusted to sign it"
		return check
	}
	if d.Validate() != nil {
		check.Reason = "its digest is malformed"
		return check
	}
	c := &count{rule: rule, root: p.root, digest: d, signed: map[string]*sound{}, reasons: map[Verdict]string{}}
	for _, signature := range evidence.Signatures[:min(len(evidence.Signatures), maxSignatures)] {
		c.add(signature)
	}
	switch wanted := len(rule.Keys) + len(rule.Identities); {
	case rule.All && len(c.signed) == wanted, !rule.All && len(c.signed) > 0:
		check.Result = Verified
		c.describe(&check)
	case evidence.Err != nil:
		check.Reason = "its signatures could not be looked up: " + evidence.Err.Error()
	case len(evidence.Signatures) > maxSignatures:
		check.Reason = fmt.Sprintf("it has more than the %d signatures that are looked at", maxSignatures)
	case c.reasons[Unknown] != "":
		check.Reason = c.reasons[Unknown]
	case c.reasons[Untrusted] != "":
		check.Result, check.Reason = Untrusted, c.reasons[Untrusted]
	case len(c.signed) > 0:
		check.Result = Untrusted
		check.Reason = fmt.Sprintf("signed by %d of the %d whom the rule wants all of", len(c.signed), wanted)
		c.describe(&check)
	case c.reasons[Invalid] != "":
		check.Result, check.Reason = Invalid, c.reasons[Invalid]
	case evidence.Gone == 1:
		check.Result, check.Reason = Unsigned, "1 listed signature is gone"
	case evidence.Gone > 1:
		check.Result, check.Reason = Unsigned, fmt.Sprintf("%d listed signatures are gone", evidence.Gone)
	default:
		check.Result, check.Reason = Unsigned, "it has no signature"
	}
	return check
}

// sound is one signature by a signer that the rule names.
type sound struct {
	signer string
	format Format
	at     time.Time
}

// count collects who of a rule's signers signed a digest, and why the other
// signatures do not count.
type count struct {
	rule   *Rule
	root   *Root
	digest digest.Digest

	signed  map[string]*sound // by signer
	order   []*sound
	reasons map[Verdict]string // the first of each
}

func (c *count) add(signature Signature) {
	m, err := signature.open(c.digest)
	if errors.Is(err, errAttestation) {
		return
	}
	switch {
	case err != nil:
	case m.leaf != nil:
		err = c.keyless(m, signature.Format)
	default:
		err = c.byKey(m, signature.Format)
	}
	if err == nil {
		return
	}
	why := &outcome{Invalid, err.Error()}
	errors.As(err, &why)
	if c.reasons[why.verdict] == "" {
		c.reasons[why.verdict] = why.reason
	}
}

// byKey looks for the key that made a signature. A signature that none of the
// rule's keys made is by somebody else, unless it says that one of them did.
func (c *count) byKey(m *content, format Format) error {
	claimed := ""
	for _, key := range c.rule.Keys {
		if key.verifies(m.message, m.signature) {
			c.sign(key.String(), format, time.Time{})
			return nil
		}
		if m.hint != "" && m.hint == key.Hint() {
			claimed = key.String()
		}
	}
	switch {
	case claimed != "":
		return invalid("it says it was made with %s, and was not", claimed)
	case len(c.rule.Keys) == 0:
		return stranger("signed with a key, and the rule names only identities")
	}
	return stranger("signed with none of the keys that the rule names")
}

// keyless checks a signature by certificate, and looks for its identity. Its
// key may also be one that the rule names.
func (c *count) keyless(m *content, format Format) error {
	for _, key := range c.rule.Keys {
		if key.verifies(m.message, m.signature) {
			c.sign(key.String(), format, time.Time{})
			return nil
		}
	}
	if c.root == nil || len(c.rule.Identities) == 0 {
		return stranger("signed without a key, and the rule names only keys")
	}
	if c.root.missing != nil {
		return &outcome{Unknown, "there is no trusted root to check it by: " + c.root.missing.Error()}
	}
	v, err := c.root.vouch(m, c.digest)
	if err != nil {
		return err
	}
	matched := false
	for _, identity := range c.rule.Identities {
		if identity.matches(v) {
			matched = true
			c.signAs(identity.String(), fmt.Sprintf("%s (%s)", printable(v.subject), printable(v.issuer)), format, v.at)
		}
	}
	if !matched {
		return stranger("signed by %s (%s), whom the rule does not name", printable(v.subject), printable(v.issuer))
	}
	return nil
}

func (c *count) sign(signer string, format Format, at time.Time) {
	c.signAs(signer, signer, format, at)
}

// signAs notes that the signer whom the rule calls name has signed.
func (c *count) signAs(name, signer string, format Format, at time.Time) {
	if c.signed[name] == nil {
		c.signed[name] = &sound{signer, format, at}
		c.order = append(c.order, c.signed[name])
	}
}

// describe puts the signers into a check, and when the first of them signed.
func (c *count) describe(check *Check) {
	var names []string
	for _, s := range c.order {
		names = append(names, s.signer)
	}
	check.Signer, check.Format = strings.Join(names, ", "), c.order[0].format
	if at := c.order[0].at; !at.IsZero() {
		stamp := entry.NewTime(at)
		check.Time = &stamp
	}
}

// printable makes one line of what a certificate says.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f {
			return '?'
		}
		return r
	}, shorten(text))
}
