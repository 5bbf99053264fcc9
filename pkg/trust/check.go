package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// Check finds out whether the signatures of a digest satisfy the rule. It is the
// only place where anything becomes verified: when as many of the rule's signers as
// it requires were counted among valid signatures of this digest. It is pure.
func (a AppliedRule) Check(subject Subject, d digest.Digest, evidence signature.Evidence) Check {
	check := Check{Subject: subject, Digest: d, Result: entry.VerdictUnknown}
	if a.rule == nil {
		check.Result, check.Reason = entry.VerdictUntrusted, "no rule of the policy applies to it, so nobody is trusted to sign it"
		return check
	}
	if d.Validate() != nil {
		check.Reason = "its digest is malformed"
		return check
	}
	c := &count{rule: a.rule, root: a.policy.root, digest: d, reasons: map[entry.Verdict]string{}}
	for _, one := range evidence.Signatures[:min(len(evidence.Signatures), signature.MaxSignatures)] {
		c.add(one)
	}
	switch signed, required := c.signed.count(), a.rule.required(); {
	case signed >= required && required > 0:
		check.Result = entry.VerdictVerified
		c.describe(&check)
	case evidence.Err != nil:
		check.Reason = "its signatures could not be looked up: " + evidence.Err.Error()
	case len(evidence.Signatures) > signature.MaxSignatures:
		check.Reason = fmt.Sprintf("it has more than the %d signatures that are looked at", signature.MaxSignatures)
	case c.reasons[entry.VerdictUnknown] != "":
		check.Reason = c.reasons[entry.VerdictUnknown]
	case signed > 0:
		check.Result = entry.VerdictUntrusted
		check.Reason = fmt.Sprintf("signed by %d of the %d whom the rule wants", signed, required)
		if a.rule.All {
			check.Reason += " all of"
		}
		c.describe(&check)
	case c.reasons[entry.VerdictUntrusted] != "":
		check.Result, check.Reason = entry.VerdictUntrusted, c.reasons[entry.VerdictUntrusted]
	case c.reasons[entry.VerdictInvalid] != "":
		check.Result, check.Reason = entry.VerdictInvalid, c.reasons[entry.VerdictInvalid]
	case evidence.Missing == 1:
		check.Result, check.Reason = entry.VerdictUnsigned, "1 listed signature is gone"
	case evidence.Missing > 1:
		check.Result, check.Reason = entry.VerdictUnsigned, fmt.Sprintf("%d listed signatures are gone", evidence.Missing)
	default:
		check.Result, check.Reason = entry.VerdictUnsigned, "it has no signature"
	}
	return check
}

// count collects who of a rule's signers signed a digest, and why the other
// signatures do not count.
type count struct {
	rule   *Rule
	root   *Root
	digest digest.Digest

	signed  signers
	reasons map[entry.Verdict]string // the first of each
}

func (c *count) add(s signature.Signature) {
	m, err := s.Open(c.digest)
	if errors.Is(err, signature.ErrAttestation) {
		return
	}
	switch {
	case err != nil:
	case c.countKey(m, s.Format):
	case m.Leaf != nil:
		err = c.keyless(m, s.Format)
	default:
		err = c.noKey(m)
	}
	if err == nil {
		return
	}
	why := &outcome{entry.VerdictInvalid, err.Error()}
	if errors.Is(err, signature.ErrLater) {
		why.verdict = entry.VerdictUnknown
	}
	errors.As(err, &why)
	if c.reasons[why.verdict] == "" {
		c.reasons[why.verdict] = why.reason
	}
}

// countKey looks for the key of the rule that made a signature, with a certificate or
// without.
func (c *count) countKey(m *signature.Content, format signature.Format) bool {
	for _, key := range c.rule.Keys {
		if signature.Verifies(key.Key, m.Message, m.Signature) {
			c.signed.add(byKey(key, format))
			return true
		}
	}
	return false
}

// noKey says why a signature counts for nothing that none of the rule's keys made:
// it is by somebody else, unless it says that one of them made it.
func (c *count) noKey(m *signature.Content) error {
	claimed := slices.IndexFunc(c.rule.Keys, func(key *PublicKey) bool { return m.Hint != "" && m.Hint == key.hint() })
	switch {
	case claimed >= 0:
		return invalid("it says it was made with %s, and was not", c.rule.Keys[claimed])
	case len(c.rule.Keys) == 0:
		return stranger("signed with a key, and the rule names only identities")
	}
	return stranger("signed with none of the keys that the rule names")
}

// keyless checks a signature by certificate, and looks for its identity.
func (c *count) keyless(m *signature.Content, format signature.Format) error {
	if c.root == nil || len(c.rule.Identities) == 0 {
		return stranger("signed without a key, and the rule names only keys")
	}
	if c.root.missing != nil {
		return &outcome{entry.VerdictUnknown, "there is no trusted root to check it by: " + c.root.missing.Error()}
	}
	v, err := c.root.verifyKeyless(m, c.digest)
	if err != nil {
		return err
	}
	one := byIdentity(c.rule, v, m.Leaf, format)
	if one == nil {
		return stranger("signed by %s (%s), whom the rule does not name", signature.Printable(v.subject), signature.Printable(v.issuer))
	}
	c.signed.add(one)
	return nil
}

// describe puts the signers into a check, and when the first of them signed.
func (c *count) describe(check *Check) {
	check.Signers = c.signed.list(check.Subject)
	var names []string
	for _, s := range check.Signers {
		names = append(names, s.Name)
	}
	check.Signer, check.Format, check.Time = strings.Join(names, ", "), signature.Format(check.Signers[0].Format), check.Signers[0].Time
}
