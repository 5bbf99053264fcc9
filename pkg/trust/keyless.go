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
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/oauthflow"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// keylessOptions say how to sign without a lasting key.
type keylessOptions struct {
	// Services certify the key and witness what it signs.
	Services *services
	// Root checks at once what was signed, as readers will. Nil checks nothing
	// but that the certificate is of the key.
	Root *Root
	// Token returns an OIDC identity token. It is asked once, and again only
	// when the certificate has run out.
	Token func(context.Context) (string, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// spare is how long a certificate must still be valid to sign with: what
// witnesses the signature needs some of it.
const spare = time.Minute

// keyless is a signer whose key lives as long as the process, and whose
// certificate says who asked for it. It is safe for concurrent use.
type keyless struct {
	messageSigner
	options keylessOptions

	mu    sync.Mutex
	leaf  *x509.Certificate
	until time.Time // by the clock here, when to get another one
}

// newKeyless makes a key. When it first signs, or before by Certify, the
// certificate authority of the services certifies that the bearer of an OIDC
// identity token holds it. The error is an entry.ErrInvalid.
func newKeyless(options keylessOptions) (*keyless, error) {
	if options.Services == nil || options.Services.authority == "" {
		return nil, fmt.Errorf("%w: keyless signing: the signing config names no certificate authority", entry.ErrInvalid)
	}
	if err := options.Services.checkTime(); err != nil {
		return nil, fmt.Errorf("%w: keyless signing: %v", entry.ErrInvalid, err)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := newMessageSigner(key)
	if err != nil {
		return nil, err
	}
	return &keyless{messageSigner: signer, options: options}, nil
}

// certify gets the certificate, unless there is one. It serves all that is
// signed while it is valid, which is some minutes; then signing gets another.
// Errors are of the kind entry.ErrInvalid for a token that is none,
// entry.ErrUnauthorized where the authority refuses it, and
// entry.ErrUnreachable.
func (k *keyless) certify(ctx context.Context) error {
	_, err := certificates{k}.GetCertificate(ctx, &keypair{messageSigner: k.messageSigner}, nil)
	return err
}

// certificates makes a signer a sign.CertificateProvider.
type certificates struct{ *keyless }

func (k certificates) GetCertificate(ctx context.Context, pair sign.Keypair, _ *sign.CertificateProviderOptions) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.leaf != nil && k.options.Now().Before(k.until) {
		return k.leaf.Raw, nil
	}
	token, err := k.options.Token(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tokenSubject(token); err != nil {
		return nil, err
	}
	services := k.options.Services
	client := serviceClient(ctx, services.transport, "certificate authority", http.StatusOK)
	fulcio := sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimSuffix(services.authority, "/"), Timeout: -1, Transport: client.Transport})
	der, err := fulcio.GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return nil, serviceError("certificate authority "+host(services.authority), err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err == nil && !bytes.Equal(leaf.RawSubjectPublicKeyInfo, k.PublicKey().der) {
		err = errors.New("its certificate is of another key")
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w: %v", host(services.authority), entry.ErrUnreachable, err)
	}
	k.leaf, k.until = leaf, usableUntil(leaf, k.options.Now())
	return leaf.Raw, nil
}

// usableUntil is until when a certificate that was just issued can be signed
// with, by a clock that may be wrong: then its time is not compared with that of
// the authority, and it serves for half its life.
func usableUntil(leaf *x509.Certificate, now time.Time) time.Time {
	until := leaf.NotAfter.Add(-spare)
	if now.Before(leaf.NotBefore) || !now.Before(until) {
		return now.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	}
	return until
}

// identity is whom the certificate names; nobody before there is one.
func (k *keyless) identity() Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.leaf == nil {
		return Identity{}
	}
	summary, err := certificate.SummarizeCertificate(k.leaf)
	if err != nil {
		return Identity{}
	}
	return Identity{Subject: summary.SubjectAlternativeName, Issuer: summary.Issuer}
}

// verify checks a signature as a reader will who trusts the identity.
func (k *keyless) verify(d digest.Digest, made signature.Signature) error {
	if k.options.Root == nil {
		return nil
	}
	policy, err := NewPolicy(k.options.Root, &Rule{Identities: []Identity{k.identity()}})
	if err != nil {
		return fmt.Errorf("%w: the certificate is of nobody: %v", entry.ErrUntrusted, err)
	}
	if check := policy.For("", "").Check(SubjectEntry, d, signature.Evidence{Signatures: []signature.Signature{made}}); check.Result != entry.VerdictVerified {
		return fmt.Errorf("%w: what the signing services answered does not hold by the trusted root: %s: %s", entry.ErrUntrusted, check.Result, check.Reason)
	}
	return nil
}

// tokenSubject returns whom an identity token is about, as its certificate will
// say it or close to it. The authority, not we, checks the token. The error is
// an entry.ErrInvalid that does not quote it.
func tokenSubject(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("%w: identity token: it is no JSON web token", entry.ErrInvalid)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("%w: identity token: it is no JSON web token", entry.ErrInvalid)
	}
	subject, err := oauthflow.SubjectFromUnverifiedToken(claims)
	if err != nil {
		return "", fmt.Errorf("%w: identity token: it names no subject that is known to be right", entry.ErrInvalid)
	}
	return subject, nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
