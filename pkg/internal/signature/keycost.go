package signature

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/digitorus/pkcs7"
	"github.com/go-json-experiment/json"
)

// What RSA keys of others may be: those of sigstore's registry of algorithms.
// With larger ones, checking a single signature can take minutes.
const (
	maxRSABits     = 4096
	maxRSAExponent = 1<<16 + 1
)

// checkCost reports a key of others with which checking a signature would take
// long.
func checkCost(key any) error {
	if k, ok := key.(*rsa.PublicKey); ok && (k.N.BitLen() > maxRSABits || k.E > maxRSAExponent) {
		return fmt.Errorf("an RSA key of %d bits with the exponent %d: more than %d bits or %d", k.N.BitLen(), k.E, maxRSABits, maxRSAExponent)
	}
	return nil
}

// parseCertificate reads a certificate of others.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certificate, checkCost(certificate.PublicKey)
}

// checkKeysIn checks the PEM keys and certificates in any string of a JSON text, as
// it is or in base64: Rekor's packages read an entry without regard to the case
// of names, and check its signature as they parse it. What is neither is left to
// them: they refuse it before that.
func checkKeysIn(text []byte) error {
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	var walk func(node any) error
	walk = func(node any) error {
		var err error
		switch node := node.(type) {
		case map[string]any:
			for _, member := range node {
				err = cmp.Or(err, walk(member))
			}
		case []any:
			for _, element := range node {
				err = cmp.Or(err, walk(element))
			}
		case string:
			err = checkPEM([]byte(node))
			if decoded, failed := base64.StdEncoding.DecodeString(node); failed == nil && err == nil {
				err = checkPEM(decoded)
			}
		}
		return err
	}
	return walk(tree)
}

func checkPEM(text []byte) error {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if err := checkCost(key); err != nil {
				return err
			}
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			if err := checkCost(certificate.PublicKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStamp checks the certificates in an RFC 3161 timestamp, of which reading it
// checks a signature for each signer: there is one. What is no timestamp is left
// to those who read it.
func checkStamp(response []byte) error {
	var parts struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(response, &parts); err != nil {
		return nil
	}
	token, err := pkcs7.Parse(parts.Token.FullBytes)
	if err != nil {
		return nil
	}
	if len(token.Signers) > 1 {
		return fmt.Errorf("a timestamp by %d signers", len(token.Signers))
	}
	for _, certificate := range token.Certificates {
		if err := checkCost(certificate.PublicKey); err != nil {
			return fmt.Errorf("a timestamp: %w", err)
		}
	}
	return nil
}
