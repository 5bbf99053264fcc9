package entry

// Verdict says what is known about the signatures of a revision or an image.
// The zero Verdict means that signatures were not checked.
type Verdict string

// The verdicts (SPEC section 14).
const (
	VerdictVerified Verdict = "verified"
	// VerdictUnsigned: whoever holds the signatures was asked, and has none.
	VerdictUnsigned Verdict = "unsigned"
	// VerdictUntrusted: there are signatures, but not by those whom the policy
	// names, or attested by a service that the trusted root does not name.
	VerdictUntrusted Verdict = "untrusted"
	// VerdictInvalid: there are signatures, and none is one of this digest.
	VerdictInvalid Verdict = "invalid"
	// VerdictUnknown: it could not be found out. It is never taken for unsigned.
	VerdictUnknown Verdict = "unknown"
)
