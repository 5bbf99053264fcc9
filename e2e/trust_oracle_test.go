package e2e

import (
	"crypto"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// oracle is cosign's library, which verifies the signatures of an image in one
// format by one public key.
type oracle struct {
	format   string
	material root.TrustedMaterial
}

func newOracle(t testing.TB, format string, c *cosigns) oracle {
	t.Helper()
	material, err := root.NewTrustedRootFromPath(c.root)
	if err != nil {
		t.Fatal(err)
	}
	return oracle{format, material}
}

// verifies reports whether the library finds a signature by a key, and what it
// says if it does not. The library takes the algorithm from its caller: it is
// asked with each that the cosigns sign in.
func (o oracle) verifies(t testing.TB, image string, key crypto.PublicKey) (bool, error) {
	t.Helper()
	reference, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	how := &cosign.CheckOpts{IgnoreTlog: true, Offline: true, ClaimVerifier: cosign.SimpleClaimVerifier}
	verify := cosign.VerifyImageSignatures
	if o.format == "bundle" {
		how.NewBundleFormat, how.TrustedMaterial = true, o.material
		verify = cosign.VerifyImageAttestations
	}
	var failed []error
	for _, verifier := range verifiers(t, key) {
		how.SigVerifier = verifier
		found, _, err := verify(t.Context(), reference, how)
		if err == nil && len(found) > 0 {
			return true, nil
		}
		failed = append(failed, err)
	}
	return false, errors.Join(failed...)
}

// verifiers are those of a key for SHA-256, which cosign verifies by, and for
// what sigstore signs with by default: SHA-384 with P-384, SHA-512 with P-521,
// and Ed25519 with and without hashing first.
func verifiers(t testing.TB, key crypto.PublicKey) []signature.Verifier {
	t.Helper()
	plain, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	usual, err := signature.LoadDefaultVerifier(key, options.WithED25519ph())
	if err != nil {
		t.Fatal(err)
	}
	return []signature.Verifier{plain, usual}
}

// agree checks that we and cosign's library say the same of an image's
// signatures by each key: they are by the first, if that signed this image, and
// by no other.
func (w *world) agree(t *testing.T, o oracle, image string, d ocispec.Descriptor, signed bool, keys ...crypto.PublicKey) {
	t.Helper()
	dir := t.TempDir()
	files := make([]string, len(keys))
	for i, key := range keys {
		files[i] = filepath.Join(dir, strconv.Itoa(i)+".pub")
		write(t, files[i], publicPEM(t, key))
	}
	for i, check := range w.checks(image, files...) {
		key := keys[i]
		theirs, err := o.verifies(t, at2(image, d), key)
		if want := signed && i == 0; theirs != want || (check.Verdict == "verified") != want {
			t.Errorf("by key %d: ours %s (%s), cosign's library %v (%v), want verified: %v", i, check.Verdict, check.Reason, theirs, err, want)
		}
	}
}

// For every kind of key and both formats, cosign's library and we say the same:
// of what is signed here, by that key or another of the same kind or another
// kind, and of a signature of another image.
func TestOracleOfOurSignatures(t *testing.T) {
	t.Parallel()
	c, w := newCosigns(t), newWorld(t, targets()["ggcr"](t))
	keys, others := ownKeys(), otherKeys()
	for _, kind := range slices.Sorted(maps.Keys(keys)) {
		for _, format := range formats {
			t.Run(kind+", "+format, func(t *testing.T) {
				private := filepath.Join(t.TempDir(), "private.key")
				write(t, private, privatePEM(t, keys[kind]))
				o := newOracle(t, format, c)
				all := []crypto.PublicKey{keys[kind].Public(), others[kind].Public(), others["p256"].Public(), others["ed25519"].Public()}
				image := w.push("signed-"+kind+"-"+format, "1")
				d := w.resolve(image)
				w.sign(private, format, image)
				w.agree(t, o, image, d, true, all...)

				other := w.push("copied-"+kind+"-"+format, "2")
				w.sign(private, format, other, "-digest", d.Digest.String())
				w.agree(t, o, other, w.resolve(other), false, all...)
			})
		}
	}
}

// The same of what the cosigns sign with every kind of key.
func TestOracleOfCosignSignatures(t *testing.T) {
	t.Parallel()
	c, w := newCosigns(t), newWorld(t, targets()["ggcr"](t))
	keys, others := ownKeys(), otherKeys()
	for _, kind := range slices.Sorted(maps.Keys(keys)) {
		t.Run(kind, func(t *testing.T) {
			c := c.with(t, kind, keys[kind])
			for name, sign := range c.signings() {
				image := w.push(kind+"-"+mapped(name), "1")
				d := w.resolve(image)
				sign(at2(image, d))
				format := "bundle"
				if tagged := w.tags(w.on.image(kind + "-" + mapped(name))); slices.Contains(tagged, "sha256-"+d.Digest.Encoded()+".sig") {
					format = "legacy"
				}
				w.agree(t, newOracle(t, format, c), image, d, true, keys[kind].Public(), others[kind].Public(), others["p256"].Public())
			}
		})
	}
}

// with is the same with another key, which cosign imports.
func (c *cosigns) with(t testing.TB, name string, key crypto.Signer) *cosigns {
	t.Helper()
	same, file := c.in(t), filepath.Join(c.dir, name+".pem")
	write(t, file, privatePEM(t, key))
	same.must(c.three, "import-key-pair", "--key", file, "--output-key-prefix", filepath.Join(c.dir, name))
	same.key, same.public = filepath.Join(c.dir, name+".key"), filepath.Join(c.dir, name+".pub")
	return same
}
