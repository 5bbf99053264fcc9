package trust

import (
	"context"
	"crypto"
	"fmt"

	"github.com/opencontainers/go-digest"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	algorithms "github.com/sigstore/sigstore/pkg/signature"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// signDigest makes a signature of a digest. reference is the repository that it
// stands in; only the legacy format notes it, for people. services witness the
// signature; nil is none for a key, and its own for a keyless signer. What the
// signer's trusted root does not verify is an entry.ErrUntrusted.
func signDigest(ctx context.Context, signer messageSigner, services *services, format signature.Format, d digest.Digest, reference string) (signature.Signature, error) {
	content, err := signature.NewContent(format, d, reference)
	if err != nil {
		return signature.Signature{}, err
	}
	var certificate sign.CertificateProvider
	certified, isKeyless := signer.(*keyless)
	if isKeyless {
		services, certificate = certified.options.Services, certificates{certified}
	}
	if err := services.checkUse(format, signer.PublicKey().Key); err != nil {
		return signature.Signature{}, err
	}
	made, err := services.bundle(ctx, content, &keypair{messageSigner: signer}, certificate)
	if err != nil {
		return signature.Signature{}, fmt.Errorf("sign %s: %w", d, err)
	}
	packed, err := signature.Pack(format, content, made)
	if err == nil && isKeyless {
		err = certified.verify(d, packed)
	}
	if err != nil {
		return signature.Signature{}, fmt.Errorf("sign %s: %w", d, err)
	}
	return packed, nil
}

// keypair is a signer as sigstore's packages want one.
type keypair struct {
	messageSigner
	failed error // why it did not sign
}

func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	return protocommon.HashAlgorithm_SHA2_256
}
func (k *keypair) GetHint() []byte                { return []byte(k.PublicKey().hint()) }
func (k *keypair) GetPublicKey() crypto.PublicKey { return k.PublicKey().Key }
func (k *keypair) GetPublicKeyPem() (string, error) {
	return string(k.PublicKey().PEM()), nil
}

func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	details, err := algorithms.GetDefaultAlgorithmDetails(k.PublicKey().Key)
	if err != nil {
		return protocommon.PublicKeyDetails_PUBLIC_KEY_DETAILS_UNSPECIFIED
	}
	return details.GetSignatureAlgorithm()
}

// GetKeyAlgorithm is that of the keys of keyless signers; nothing asks for it
// of others.
func (k *keypair) GetKeyAlgorithm() string { return "ECDSA" }

// SignData signs, and checks the signature before anybody is shown it: a key
// may be of a plugin.
func (k *keypair) SignData(ctx context.Context, data []byte) (made, sum []byte, err error) {
	made, err = k.Sign(ctx, data)
	if err == nil && !signature.Verifies(k.PublicKey().Key, data, made) {
		err = fmt.Errorf("%w: the signer's public key does not check what it signed", entry.ErrInvalid)
	}
	k.failed = err
	return made, sum256(data), err
}

// describeSigner says in a few words who signs.
func describeSigner(signer messageSigner) string {
	if k, ok := signer.(*keyless); ok {
		if subject := k.identity().Subject; subject != "" {
			return "identity " + signature.Printable(subject)
		}
		return "a certificate"
	}
	return signer.PublicKey().String()
}
