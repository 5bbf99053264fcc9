package trust

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// signers are those who made valid signatures of one digest, and may stand for
// somebody whom a rule names.
type signers []*signatory

// signatory is whoever made some of the signatures. What has a key or a certified
// identity in common was made by one signatory: a second name, a second
// certificate or a second copy does not make two of them.
type signatory struct {
	marks  map[string]bool // keys that signed, identities that were certified
	named  map[string]bool // signers of the rule that this may be, by their ID
	shown  string          // as reports call it
	format signature.Format
	at     time.Time // the earliest time that a service proves; zero for none
}

// add notes who made a valid signature.
func (s *signers) add(one *signatory) {
	kept := (*s)[:0:0]
	var same *signatory
	for _, other := range *s {
		switch {
		case !other.shares(one):
			kept = append(kept, other)
		case same == nil:
			same = other
			kept = append(kept, other)
		default: // one links what seemed to be two
			same.merge(other)
		}
	}
	if same != nil {
		same.merge(one)
	} else {
		kept = append(kept, one)
	}
	*s = kept
}

func (s *signatory) shares(other *signatory) bool {
	for mark := range other.marks {
		if s.marks[mark] {
			return true
		}
	}
	return false
}

func (s *signatory) merge(other *signatory) {
	maps.Copy(s.marks, other.marks)
	maps.Copy(s.named, other.named)
	if s.at.IsZero() || !other.at.IsZero() && other.at.Before(s.at) {
		s.at = other.at
	}
}

// byKey is the signatory of a signature that a key of the rule checks.
func byKey(key *PublicKey, format signature.Format) *signatory {
	return &signatory{marks: keyMark(key.der), named: map[string]bool{key.id(): true}, shown: key.String(), format: format}
}

// byIdentity is the signatory of a signature by a certificate, and nil if the
// rule does not name it.
func byIdentity(rule *Rule, v *certifiedBy, certificate *x509.Certificate, format signature.Format) *signatory {
	named := map[string]bool{}
	for _, identity := range rule.Identities {
		if identity.matches(v) {
			named[identity.id()] = true
		}
	}
	if len(named) == 0 {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(certificate.PublicKey)
	if err != nil {
		der = certificate.RawSubjectPublicKeyInfo
	}
	marks := keyMark(der)
	marks[fmt.Sprintf("identity %q %q", v.subject, v.issuer)] = true
	return &signatory{marks: marks, named: named, shown: fmt.Sprintf("%s (%s)", signature.Printable(v.subject), signature.Printable(v.issuer)), format: format, at: v.at}
}

func keyMark(der []byte) map[string]bool { return map[string]bool{"key " + string(der): true} }

// id is the same for a key under whatever name.
func (k *PublicKey) id() string { return "key " + string(k.der) }

// id is the same for an identity in whatever spelling that is compiled alike.
func (i *Identity) id() string { return fmt.Sprintf("identity %q %q", i.subject, i.issuer) }

// count returns how many of the rule's signers have signed: as many as can be,
// where each signatory is one of them, and none is two signatories.
func (s signers) count() int {
	if len(s) < 2 {
		return len(s)
	}
	n, is := 0, map[string]*signatory{}
	for _, one := range s {
		if one.assign(is, map[string]bool{}) {
			n++
		}
	}
	return n
}

// assign finds a signer of the rule for a signatory to be, if need be by finding
// another one for the signatory that it was.
func (s *signatory) assign(is map[string]*signatory, tried map[string]bool) bool {
	for name := range s.named {
		if tried[name] {
			continue
		}
		tried[name] = true
		if is[name] == nil || is[name].assign(is, tried) {
			is[name] = s
			return true
		}
	}
	return false
}

// list shows the signers, in an order that does not depend on that in which a
// registry lists signatures: by the time that is proved, then those without one,
// by name.
func (s signers) list(what Subject) []entry.Signer {
	var all []entry.Signer
	for _, one := range slices.SortedFunc(slices.Values(s), (*signatory).compare) {
		shown := entry.Signer{Name: one.shown, What: string(what), Format: string(one.format)}
		if !one.at.IsZero() {
			at := entry.NewTime(one.at)
			shown.Time = &at
		}
		all = append(all, shown)
	}
	return all
}

func (s *signatory) compare(other *signatory) int {
	switch {
	case s.at.IsZero() && !other.at.IsZero():
		return 1
	case other.at.IsZero() && !s.at.IsZero():
		return -1
	}
	return cmp.Or(s.at.Compare(other.at), cmp.Compare(s.shown, other.shown))
}

// distinct returns how many signers a rule names; one that is named twice is one.
func (r *Rule) distinct() int {
	ids := map[string]bool{}
	for _, key := range r.Keys {
		ids[key.id()] = true
	}
	for _, identity := range r.Identities {
		ids[identity.id()] = true
	}
	return len(ids)
}

// required returns how many of its signers a rule requires.
func (r *Rule) required() int {
	switch {
	case r.All:
		return r.distinct()
	case r.Threshold > 0:
		return r.Threshold
	}
	return 1
}

// checkSigners checks how many signers a rule wants against those that it names.
func (r *Rule) checkSigners() error {
	switch names, named := len(r.Keys)+len(r.Identities), r.distinct(); {
	case r.Threshold < 0:
		return fmt.Errorf("%w: threshold %d: want at least 1", entry.ErrInvalid, r.Threshold)
	case r.All && r.Threshold > 0:
		return fmt.Errorf("%w: it wants all signers, and a threshold of %d: want one of the two", entry.ErrInvalid, r.Threshold)
	case r.Threshold > named:
		return fmt.Errorf("%w: threshold %d: it names no more than %s", entry.ErrInvalid, r.Threshold, distinctSigners(named))
	case r.All && names > named:
		return fmt.Errorf("%w: it wants all signers, and names one of them twice", entry.ErrInvalid)
	}
	return nil
}

func distinctSigners(n int) string {
	if n == 1 {
		return "1 distinct signer"
	}
	return fmt.Sprintf("%d distinct signers", n)
}

// sortedSigners shows whom a rule names, each once.
func (r *Rule) sortedSigners() []string {
	shown := map[string]string{}
	for _, key := range r.Keys {
		if shown[key.id()] == "" {
			shown[key.id()] = key.String()
		}
	}
	for _, identity := range r.Identities {
		if shown[identity.id()] == "" {
			shown[identity.id()] = identity.shown()
		}
	}
	return slices.Sorted(maps.Values(shown))
}
