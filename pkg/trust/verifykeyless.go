package trust

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	rekorlog "github.com/sigstore/rekor/pkg/log"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"go.uber.org/zap"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// Rekor's packages log to stderr whatever is odd in an entry that they parse.
func init() { rekorlog.Logger = zap.NewNop().Sugar() }

// certifiedBy is whom a valid certificate names, and when they signed.
type certifiedBy struct {
	subject string // the identity that was logged in
	issuer  string // of the identity
	at      time.Time
}

// outcome says why a signature counts for nothing: it is broken, by strangers, or
// not understood.
type outcome struct {
	verdict entry.Verdict // invalid, untrusted or unknown
	reason  string
}

func (o *outcome) Error() string { return o.reason }

func invalid(format string, args ...any) error {
	return &outcome{entry.VerdictInvalid, signature.Printable(fmt.Sprintf(format, args...))}
}

func stranger(format string, args ...any) error {
	return &outcome{entry.VerdictUntrusted, signature.Printable(fmt.Sprintf(format, args...))}
}

// verifyKeyless checks a keyless signature of a digest against the root: whatever the
// root requires, sigstore-go's verifier checks, and only its yes is one. An error
// is an outcome.
func (r *Root) verifyKeyless(c *signature.Content, d digest.Digest) (v *certifiedBy, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			v, err = nil, invalid("it makes no sense: %v", fault)
		}
	}()
	// Nothing of what others say is looked into for a signature that is not even
	// by its own certificate.
	if !signature.Verifies(c.Leaf.PublicKey, c.Message, c.Signature) {
		return nil, invalid("the certificate's key did not make the signature")
	}
	e, err := c.Entity()
	if err != nil {
		return nil, err
	}
	named := withChain{r.named, c.Chain}
	verifier, err := verify.NewVerifier(named, required(named)...)
	if err != nil {
		return nil, invalid("%v", err)
	}
	subject, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return nil, invalid("%v", err)
	}
	of := verify.WithArtifactDigest(d.Algorithm().String(), subject)
	if c.Payload != nil {
		of = verify.WithArtifact(bytes.NewReader(c.Payload))
	}
	result, err := verifier.Verify(e, verify.NewPolicy(of, verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return nil, why(e, named, verifier, err)
	}
	if c.Payload == nil {
		s := result.Statement
		if s.GetPredicateType() != signature.PredicateType || len(s.GetSubject()) != 1 || s.GetSubject()[0].GetDigest()[d.Algorithm().String()] != d.Encoded() {
			return nil, invalid("its statement is not that of a signature of this digest")
		}
	}
	signer := result.Signature.Certificate
	return &certifiedBy{subject: signer.SubjectAlternativeName, issuer: signer.Issuer, at: result.VerifiedTimestamps[0].Timestamp.UTC()}, nil
}

// required is what must prove a keyless signature: of each kind of service that
// the root names, one; and one time.
func required(named root.TrustedMaterial) []verify.VerifierOption {
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate()}
	if len(named.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(named.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return options
}

// why says what is wrong with a signature that was refused, whose certificate's
// key made it: in stages, since the verifier's errors do not tell a stranger's
// evidence from evidence that does not check.
func why(e *signature.Entity, named root.TrustedMaterial, verifier *verify.Verifier, refusal error) error {
	if logs := named.RekorLogs(); len(logs) > 0 {
		switch {
		case len(e.Entries) == 0:
			return invalid("no entry in a transparency log proves it")
		case !slices.ContainsFunc(e.Entries, func(logged *tlog.Entry) bool { return logs[hex.EncodeToString([]byte(logged.LogKeyID()))] != nil }):
			return stranger("the trusted root does not name the log that has it")
		}
	}
	logged, err := verifier.VerifyTransparencyLogInclusion(e)
	if err != nil {
		return invalid("its log entry: %v", err)
	}
	times, err := verifier.VerifyObserverTimestamps(e, logged)
	if err != nil {
		if stamps, _ := e.Timestamps(); len(stamps) > 0 {
			return stranger("its timestamp: %v", err)
		}
		return invalid("nothing proves when it was made, and its certificate is short-lived")
	}
	for _, at := range times {
		leaf := e.Leaf()
		if at.Timestamp.Before(leaf.NotBefore) || at.Timestamp.After(leaf.NotAfter) {
			return invalid("made at %s, when its certificate was not valid", at.Timestamp.UTC().Format(time.RFC3339))
		}
		chains, err := verify.VerifyLeafCertificate(at.Timestamp, leaf, named)
		if err != nil {
			return stranger("the trusted root does not name who issued its certificate")
		}
		if len(named.CTLogs()) > 0 && verify.VerifySignedCertificateTimestamp(chains, 1, named) != nil {
			return invalid("no certificate log of the trusted root has its certificate")
		}
	}
	return invalid("%v", refusal)
}
