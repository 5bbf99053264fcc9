package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	ct "github.com/google/certificate-transparency-go"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// vouched is what a certificate that holds proves.
type vouched struct {
	subject string // the identity that was logged in
	issuer  string // of the identity
	at      time.Time
}

// outcome tells why a signature counts for nothing: it is broken, or by
// strangers.
type outcome struct {
	verdict Verdict // Invalid or Untrusted
	reason  string
}

func (o *outcome) Error() string { return o.reason }

func invalid(format string, args ...any) error {
	return &outcome{Invalid, fmt.Sprintf(format, args...)}
}

func stranger(format string, args ...any) error {
	return &outcome{Untrusted, fmt.Sprintf(format, args...)}
}

// vouch checks a keyless signature against the root: the signature by the
// certificate's key, a time that a service proves, the chain at that time, and
// what the services of the root must have witnessed.
func (r *Root) vouch(m *material) (*vouched, error) {
	leaf := m.certificates[0]
	if !verifies(leaf.PublicKey, m.message, m.signature) {
		return nil, invalid("the certificate's key did not make the signature")
	}
	times, err := r.times(m)
	if err != nil {
		return nil, err
	}
	var chains [][]*x509.Certificate
	for _, at := range times {
		if chains, err = r.chain(m.certificates, at); err != nil {
			if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
				return nil, invalid("made at %s, when its certificate was not valid", at.Format(time.RFC3339))
			}
			return nil, stranger("the trusted root does not name who issued its certificate (%v)", err)
		}
	}
	if err := r.certificateLogged(chains); err != nil {
		return nil, err
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return nil, invalid("its certificate: %v", err)
	}
	return &vouched{subject: summary.SubjectAlternativeName, issuer: summary.Issuer, at: times[0]}, nil
}

// times returns when the signature was made, as each trusted service says; at
// least one does. Entries of logs that the root does not name count for
// nothing, and so do their times.
func (r *Root) times(m *material) ([]time.Time, error) {
	var times []time.Time
	var doubt error
	logged := 0
	for _, e := range m.entries {
		at, err := e.verify(r, m)
		if errors.Is(err, errStranger) {
			doubt = stranger("%v", err)
			continue
		}
		if err != nil {
			return nil, invalid("%v", err)
		}
		logged++
		if !at.IsZero() {
			times = append(times, at)
		}
	}
	if len(r.logs) > 0 && logged == 0 {
		if doubt == nil {
			doubt = invalid("no entry in a transparency log proves it")
		}
		return nil, doubt
	}
	for _, stamp := range m.timestamps {
		at, err := r.stamp(stamp, m.signature)
		if err != nil {
			doubt = stranger("its timestamp: %v", err)
			continue
		}
		times = append(times, at)
	}
	if len(times) == 0 {
		if doubt == nil {
			doubt = invalid("nothing proves when it was made, and its certificate is short-lived")
		}
		return nil, doubt
	}
	return times, nil
}

// certificateLogged checks that a certificate log of the root has promised to
// hold the certificate, if the root names any.
func (r *Root) certificateLogged(chains [][]*x509.Certificate) error {
	if len(r.ctLogs) == 0 {
		return nil
	}
	scts, err := x509util.ParseSCTsFromCertificate(chains[0][0].Raw)
	if err != nil {
		return invalid("the certificate timestamps of its certificate: %v", err)
	}
	for _, sct := range scts {
		log, known := r.ctLogs[hex.EncodeToString(sct.LogID.KeyID[:])]
		if !known || !log.valid.contains(ct.TimestampToTime(sct.Timestamp)) {
			continue
		}
		for _, chain := range chains {
			if len(chain) > 1 && verifySCT(log, chain, sct) == nil {
				return nil
			}
		}
	}
	return invalid("no certificate log of the trusted root has its certificate")
}

func verifySCT(log logKey, chain []*x509.Certificate, sct *ct.SignedCertificateTimestamp) error {
	var parsed []*ctx509.Certificate
	for _, c := range chain[:2] {
		one, err := ctx509.ParseCertificate(c.Raw)
		if ctx509.IsFatal(err) {
			return err
		}
		parsed = append(parsed, one)
	}
	leaf, err := ct.MerkleTreeLeafForEmbeddedSCT(parsed, sct.Timestamp)
	if err != nil {
		return err
	}
	verifier, err := ct.NewSignatureVerifier(log.key)
	if err != nil {
		return err
	}
	return verifier.VerifySCTSignature(*sct, ct.LogEntry{Leaf: *leaf})
}
