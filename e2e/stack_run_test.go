package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/oci-catalog/caib/e2e/tools"
)

// keyless is a sigstore with what clients need to use it in the name of
// somebody: the identity token in a file, and the flags of each client.
type keyless struct {
	*sigstoreStack
	who, token string // token is a file
}

func (s *sigstoreStack) as(t testing.TB, who string) keyless {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, s.issue(t, who))
	return keyless{s, who, file}
}

// wants are the flags, the same ones of caib and cosign, to check that this
// identity signed.
func (k keyless) wants() []string {
	return []string{"--trusted-root", k.root, "--certificate-identity", k.who, "--certificate-oidc-issuer", k.of(k.who)}
}

// signs are the flags with which caib signs as this identity.
func (k keyless) signs() []string {
	return []string{"--sign-keyless", "--signing-config", k.config, "--identity-token", k.token}
}

// TestStockSigstore has nothing of ours sign: what cosign 3 signs with the real
// services is verified by cosign 3, and by caib in a catalog.
func TestStockSigstore(t *testing.T) {
	t.Parallel()
	s, c := startSigstore(t), newCosigns(t)
	onSigning(t, func(t *testing.T, w *world) {
		for name, who := range map[string]string{"person": "ci@example.com", "pipeline": s.pipeline("/team/os")} {
			c, k := c.in(t), s.as(t, who)
			image := w.push(name, "1")
			w.ok("catalog", "publish", image)
			for _, signed := range []string{at2(image, w.resolve(image)), w.on.catalog + "@" + w.revision(name)} {
				c.must(c.three, "sign", "--yes", "--trusted-root", k.root, "--signing-config", k.config, "--identity-token", k.token, signed)
				c.must(c.three, append(append([]string{"verify"}, k.wants()...), signed)...)
			}
			w.ok(append([]string{"catalog", "verify", name, "--require", "both"}, k.wants()...)...)
			other := s.as(t, s.pipeline("/another"))
			w.exits(7, append([]string{"catalog", "verify", name}, other.wants()...)...)
		}
	})
}

// TestKeyless publishes with a keyless signature by the real services, which
// both cosigns verify, and we do.
func TestKeyless(t *testing.T) {
	t.Parallel()
	s, c := startSigstore(t), newCosigns(t)
	onSigning(t, func(t *testing.T, w *world) {
		c, k := c.in(t), s.as(t, s.pipeline("/team/os"))
		image, began := w.push("autosd", "1"), time.Now()
		w.ok(append([]string{"catalog", "publish", image, "--sign-image"}, k.signs()...)...)
		w.ok(append([]string{"catalog", "verify", "autosd", "--require", "both"}, k.wants()...)...)
		t.Logf("published, signed and verified in %s", time.Since(began).Round(time.Millisecond))
		for _, signed := range []string{at2(image, w.resolve(image)), w.on.catalog + "@" + w.revision("autosd")} {
			c.must(c.three, append(append([]string{"verify"}, k.wants()...), signed)...)
			c.must(c.two, append(append([]string{"verify", "--new-bundle-format", "--use-signed-timestamps"}, k.wants()...), signed)...)
			other := s.as(t, "ci@example.com")
			for _, program := range []string{c.two, c.three} {
				if result := c.run(program, append(append([]string{"verify", "--new-bundle-format"}, other.wants()...), signed)...); result.Code == 0 {
					t.Errorf("%s verifies it as %s's", filepath.Base(program), other.who)
				}
			}
		}
	})
}

var _ = tools.Caib
