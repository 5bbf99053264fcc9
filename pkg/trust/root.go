package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/root"

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
	named   root.TrustedMaterial
	sum     [sha256.Size]byte
	missing error // why there is nothing to check keyless signatures by
}

// missingRoot stands for a trusted root that could not be had, for a reason.
// Under it the verdict on a keyless signature is unknown.
func missingRoot(reason error) *Root { return &Root{missing: reason} }

// parseRoot reads a trusted root, the JSON file that sigstore's tools share.
// The error is an entry.ErrInvalid.
func parseRoot(text []byte) (*Root, error) {
	invalid := func(err error) (*Root, error) {
		return nil, fmt.Errorf("%w: trusted root: %v", entry.ErrInvalid, err)
	}
	if len(text) > maxRoot {
		return invalid(fmt.Errorf("longer than %d bytes", maxRoot))
	}
	named, err := root.NewTrustedRootFromJSON(text)
	switch {
	case err != nil:
		return invalid(err)
	case len(named.FulcioCertificateAuthorities()) == 0:
		return invalid(errors.New("it names no certificate authority"))
	case len(named.RekorLogs())+len(named.TimestampingAuthorities()) == 0:
		return invalid(errors.New("it names no log and no timestamp authority, so that no time can be proved"))
	}
	return &Root{named: named, sum: sha256.Sum256(text)}, nil
}

// withChain is a trusted root whose authorities may also have issued through
// certificates that came with a signature.
type withChain struct {
	root.TrustedMaterial
	chain []*x509.Certificate
}

func (w withChain) FulcioCertificateAuthorities() []root.CertificateAuthority {
	authorities := slices.Clone(w.TrustedMaterial.FulcioCertificateAuthorities())
	for i, authority := range authorities {
		if named, ok := authority.(*root.FulcioCertificateAuthority); ok {
			extended := *named
			extended.Intermediates = slices.Concat(named.Intermediates, w.chain)
			authorities[i] = &extended
		}
	}
	return authorities
}
