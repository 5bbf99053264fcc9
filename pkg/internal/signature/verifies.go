package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
)

// Verifies reports whether a key made a signature of message. Which hash goes with
// a key is not in the signature; clients differ for the larger curves.
func Verifies(key crypto.PublicKey, message, signature []byte) bool {
	short := sha256.Sum256(message)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(k, short[:], signature) {
			return true
		}
		switch k.Curve.Params().BitSize {
		case 384:
			sum := sha512.Sum384(message)
			return ecdsa.VerifyASN1(k, sum[:], signature)
		case 521:
			sum := sha512.Sum512(message)
			return ecdsa.VerifyASN1(k, sum[:], signature)
		}
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, short[:], signature) == nil
	case ed25519.PublicKey:
		if ed25519.Verify(k, message, signature) {
			return true
		}
		sum := sha512.Sum512(message)
		return ed25519.VerifyWithOptions(k, sum[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	}
	return false
}
