package trust

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
)

// keyless is a signer whose key lives as long as the process, and whose
// certificate says who asked for it.
type keyless struct {
	Signer
	certificate []byte // PEM
	subject     string // as the token says
}

func (k *keyless) leaf() []byte { return k.certificate }

// NewKeyless makes a key and has the certificate authority of services certify
// that the bearer of an OIDC identity token holds it. The certificate is valid
// for minutes: make one for each run. services must witness what it signs.
func NewKeyless(ctx context.Context, services *Services, token string) (Signer, error) {
	if services == nil || services.authority == "" {
		return nil, fmt.Errorf("%w: keyless signing: the signing config names no certificate authority", entry.ErrInvalid)
	}
	if len(services.logs)+len(services.stampers) == 0 {
		return nil, fmt.Errorf("%w: keyless signing: the signing config names no log and no timestamp authority, so that nothing would prove the time", entry.ErrInvalid)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := NewSigner(key)
	if err != nil {
		return nil, err
	}
	subject, err := tokenSubject(token)
	if err != nil {
		return nil, fmt.Errorf("%w: identity token: %v", entry.ErrInvalid, err)
	}
	proof, err := signer.Sign(ctx, []byte(subject))
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	request, err := json.Marshal(object{"publicKeyRequest": object{
		"publicKey":         object{"algorithm": "ECDSA", "content": string(signer.PublicKey().PEM())},
		"proofOfPossession": encode(proof),
	}})
	if err != nil {
		return nil, err
	}
	answer, err := services.post(ctx, "certificate authority", strings.TrimSuffix(services.authority, "/")+"/api/v2/signingCert", "application/json", token, request)
	if err != nil {
		return nil, err
	}
	certificate, err := leafOf(answer, signer.PublicKey())
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w: %v", host(services.authority), entry.ErrUnreachable, err)
	}
	return &keyless{signer, certificate, subject}, nil
}

// leafOf finds the certificate in the authority's answer, which must be of the
// key that was asked for.
func leafOf(answer []byte, key *PublicKey) ([]byte, error) {
	type chain struct {
		Chain struct {
			Certificates []string `json:"certificates"`
		} `json:"chain"`
	}
	var response struct {
		Embedded chain `json:"signedCertificateEmbeddedSct"`
		Detached chain `json:"signedCertificateDetachedSct"`
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, err
	}
	for _, c := range []chain{response.Embedded, response.Detached} {
		if len(c.Chain.Certificates) == 0 {
			continue
		}
		text := []byte(c.Chain.Certificates[0])
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("its answer is not PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if der, err := x509.MarshalPKIXPublicKey(certificate.PublicKey); err != nil || !bytes.Equal(der, key.der) {
			return nil, errors.New("its certificate is of another key")
		}
		return pem.EncodeToMemory(block), nil
	}
	return nil, errors.New("its answer has no certificate")
}

// tokenSubject is what the authority wants signed: whom the token is about. The
// authority, not we, checks the token.
func tokenSubject(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("it is no JSON web token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("it is no JSON web token")
	}
	var claims struct {
		Email   string `json:"email"`
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", errors.New("its claims are no JSON")
	}
	switch {
	case claims.Email != "":
		return claims.Email, nil
	case claims.Subject != "":
		return claims.Subject, nil
	}
	return "", errors.New("it names no subject")
}
