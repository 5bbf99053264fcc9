package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"

	"github.com/oci-catalog/caib/pkg/entry"
)

// maxRoot bounds a trusted root, in bytes.
const maxRoot = 4 << 20

// Root is a sigstore trusted root: the certificate authorities, logs and
// timestamp authorities that keyless signatures are believed by. What it names
// of a kind is required of every keyless signature: with certificate logs a
// certificate timestamp, with transparency logs an entry; and always a time,
// from a log's promise or a timestamp authority.
type Root struct {
	authorities []authority
	stampers    []authority
	logs        map[string]logKey // by hexadecimal ID
	ctLogs      map[string]logKey
	sum         [sha256.Size]byte
	missing     error // why there is nothing to check keyless signatures by
}

// MissingRoot stands for a trusted root that could not be had, for a reason.
// Under it the verdict on a keyless signature is unknown.
func MissingRoot(reason error) *Root { return &Root{missing: reason} }

// authority is a chain of certificates: for stampers leaf first, for others
// intermediates first, the root last in both.
type authority struct {
	chain []*x509.Certificate
	valid period
}

type logKey struct {
	key    crypto.PublicKey
	origin string // host name of the log
	valid  period
}

type period struct {
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
}

func (p period) contains(at time.Time) bool {
	return !at.Before(p.Start) && (p.End.IsZero() || !at.After(p.End))
}

type (
	rootJSON struct {
		MediaType   string          `json:"mediaType"`
		Logs        []logJSON       `json:"tlogs"`
		Authorities []authorityJSON `json:"certificateAuthorities"`
		CTLogs      []logJSON       `json:"ctlogs"`
		Stampers    []authorityJSON `json:"timestampAuthorities"`
	}
	logJSON struct {
		BaseURL string `json:"baseUrl"`
		Key     struct {
			RawBytes []byte `json:"rawBytes"`
			Valid    period `json:"validFor"`
		} `json:"publicKey"`
		ID logIDJSON `json:"logId"`
	}
	authorityJSON struct {
		Chain chainJSON `json:"certChain"`
		Valid period    `json:"validFor"`
	}
)

// ParseRoot reads a trusted root, the JSON file that sigstore's tools share.
// The error is an entry.ErrInvalid.
func ParseRoot(text []byte) (*Root, error) {
	invalid := func(err error) (*Root, error) {
		return nil, fmt.Errorf("%w: trusted root: %v", entry.ErrInvalid, err)
	}
	if len(text) > maxRoot {
		return invalid(fmt.Errorf("longer than %d bytes", maxRoot))
	}
	var file rootJSON
	if err := json.Unmarshal(text, &file); err != nil {
		return invalid(err)
	}
	root := &Root{sum: sha256.Sum256(text)}
	var err error
	if root.logs, err = readLogs(file.Logs); err != nil {
		return invalid(err)
	}
	if root.ctLogs, err = readLogs(file.CTLogs); err != nil {
		return invalid(err)
	}
	if root.authorities, err = readAuthorities(file.Authorities); err != nil {
		return invalid(err)
	}
	if root.stampers, err = readAuthorities(file.Stampers); err != nil {
		return invalid(err)
	}
	switch {
	case len(root.authorities) == 0:
		return invalid(errors.New("it names no certificate authority"))
	case len(root.logs)+len(root.stampers) == 0:
		return invalid(errors.New("it names no log and no timestamp authority, so that no time can be proved"))
	}
	return root, nil
}

func readLogs(from []logJSON) (map[string]logKey, error) {
	logs := map[string]logKey{}
	for _, l := range from {
		key, err := x509.ParsePKIXPublicKey(l.Key.RawBytes)
		if err != nil {
			return nil, fmt.Errorf("log %s: %v", l.BaseURL, err)
		}
		base, err := url.Parse(l.BaseURL)
		if err != nil {
			return nil, fmt.Errorf("log: %v", err)
		}
		logs[hex.EncodeToString(l.ID.KeyID)] = logKey{key: key, origin: base.Hostname(), valid: l.Key.Valid}
	}
	return logs, nil
}

func readAuthorities(from []authorityJSON) ([]authority, error) {
	var all []authority
	for _, a := range from {
		read := authority{valid: a.Valid}
		for _, raw := range a.Chain.Certificates {
			certificate, err := x509.ParseCertificate(raw.RawBytes)
			if err != nil {
				return nil, fmt.Errorf("authority: %v", err)
			}
			read.chain = append(read.chain, certificate)
		}
		if len(read.chain) == 0 {
			return nil, errors.New("an authority without certificates")
		}
		all = append(all, read)
	}
	return all, nil
}

// chain returns the chains of a signing certificate to an authority of the
// root, as they stood at the given time.
func (r *Root) chain(certificates []*x509.Certificate, at time.Time) ([][]*x509.Certificate, error) {
	leaf := certificates[0]
	// A subject alternative name of a kind that Go does not know is critical,
	// and read by others.
	plain := *leaf
	plain.UnhandledCriticalExtensions = nil
	for _, oid := range leaf.UnhandledCriticalExtensions {
		if !oid.Equal(oidSubjectAltName) {
			plain.UnhandledCriticalExtensions = append(plain.UnhandledCriticalExtensions, oid)
		}
	}
	err := errors.New("no authority is valid at that time")
	for _, a := range r.authorities {
		if !a.valid.contains(at) {
			continue
		}
		options := x509.VerifyOptions{
			Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		}
		options.Roots.AddCert(a.chain[len(a.chain)-1])
		for _, c := range a.chain[:len(a.chain)-1] {
			options.Intermediates.AddCert(c)
		}
		for _, c := range certificates[1:] {
			options.Intermediates.AddCert(c)
		}
		chains, failed := plain.Verify(options)
		if failed == nil {
			return chains, nil
		}
		err = failed
	}
	return nil, err
}

// stamp returns the time of an RFC 3161 timestamp over a signature.
func (r *Root) stamp(response, signature []byte) (time.Time, error) {
	err := errors.New("no timestamp authority is named")
	for _, a := range r.stampers {
		options := verification.VerifyOpts{Roots: a.chain[len(a.chain)-1:]}
		if len(a.chain) > 1 {
			options.TSACertificate, options.Intermediates = a.chain[0], a.chain[1:len(a.chain)-1]
		}
		timestamp, failed := verification.VerifyTimestampResponse(response, bytes.NewReader(signature), options)
		switch {
		case failed != nil:
			err = failed
		case !a.valid.contains(timestamp.Time):
			err = errors.New("made when its authority was not valid")
		default:
			return timestamp.Time.UTC(), nil
		}
	}
	return time.Time{}, err
}
