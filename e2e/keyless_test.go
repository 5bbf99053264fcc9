package e2e

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/oci-catalog/caib/e2e/tools"
)

// keyless is a sigstore with what clients need to use it in the name of
// somebody: the identity token in a file, and the flags of each client.
type keyless struct {
	*sigstoreStack
	who, token string // token is a file
}

// as is the sigstore in the name of somebody.
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

// verify is the caib command that does.
func (k keyless) verify(name string, more ...string) []string {
	return slices.Concat([]string{"catalog", "verify", name}, k.wants(), more)
}

// publish is the caib command that publishes an image and signs as this
// identity.
func (k keyless) publish(image string, more ...string) []string {
	return slices.Concat([]string{"catalog", "publish", image, "--sign-keyless", "--signing-config", k.config, "--identity-token", k.token}, more)
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
				c.must(c.three, slices.Concat([]string{"verify"}, k.wants(), []string{signed})...)
			}
			w.ok(k.verify(name, "--require", "both")...)
			other := s.as(t, s.pipeline("/another"))
			w.exits(7, other.verify(name)...)
		}
	})
}

// TestKeyless publishes with a keyless signature by the real services, which
// both cosigns verify, and we do. A log of version 2 tells no time, so cosign 2
// must be told to take it from the timestamp.
func TestKeyless(t *testing.T) {
	t.Parallel()
	s, c := startSigstore(t), newCosigns(t)
	onSigning(t, func(t *testing.T, w *world) {
		c, k := c.in(t), s.as(t, s.pipeline("/team/os"))
		image, began := w.push("autosd", "1"), time.Now()
		w.ok(k.publish(image, "--sign-image")...)
		w.ok(k.verify("autosd", "--require", "both")...)
		t.Logf("published, signed and verified in %s", time.Since(began).Round(time.Millisecond))
		other := s.as(t, "ci@example.com")
		for _, signed := range []string{at2(image, w.resolve(image)), w.on.catalog + "@" + w.revision("autosd")} {
			for _, verify := range [][]string{{c.two, "verify", "--new-bundle-format", "--use-signed-timestamps"}, {c.three, "verify"}} {
				c.must(verify[0], slices.Concat(verify[1:], k.wants(), []string{signed})...)
				if result := c.run(verify[0], slices.Concat(verify[1:], other.wants(), []string{signed})...); result.Code == 0 {
					t.Errorf("%s verifies it as signed by %s", filepath.Base(verify[0]), other.who)
				}
			}
		}
	})
}

// withOldRekor is the same services with a log of version 1 beside the other,
// which is the one that is signed with. The signatures of the older format hold
// no entry of version 2.
func (s *sigstoreStack) withOldRekor(t testing.TB) *sigstoreStack {
	t.Helper()
	log, dir, old := startOldRekor(t), t.TempDir(), *s
	old.rekor, old.root, old.config = log.url, filepath.Join(dir, "trusted-root.json"), filepath.Join(dir, "signing-config.json")
	old.rekorFile = filepath.Join(dir, "rekor.pub")
	write(t, old.rekorFile, publicPEM(t, &log.key.PublicKey))
	write(t, old.root, s.trustedRoot(t, s.log(log.url, log.id[:], &log.key.PublicKey)))
	write(t, old.config, s.signingConfig(t, root.Service{URL: log.url, MajorAPIVersion: 1}))
	return &old
}

// TestKeylessOldRekor signs in both formats with a log of version 1, and both
// cosigns verify it; and what cosign 2 signs with it, in its one format, we
// verify.
func TestKeylessOldRekor(t *testing.T) {
	t.Parallel()
	s, c := startSigstore(t).withOldRekor(t), newCosigns(t)
	onSigning(t, func(t *testing.T, w *world) {
		c, k := c.in(t), s.as(t, "ci@example.com")
		for _, format := range formats {
			image := w.push("autosd-"+format, "1")
			published := w.ok(k.publish(image, "--signature-format", format, "-o", "name")...)
			entry := strings.TrimSpace(published.Stdout)
			w.ok(k.verify(entry)...)
			verify := append([]string{"verify", "--new-bundle-format=" + strconv.FormatBool(format == "bundle")}, k.wants()...)
			for _, program := range []string{c.two, c.three} {
				c.must(program, append(verify, w.on.catalog+"@"+w.revision(entry))...)
			}
		}
		w.ok("catalog", "publish", w.push("by-cosign", "1"))
		signed := w.on.catalog + "@" + w.revision("by-cosign")
		env := []string{"SIGSTORE_ROOT_FILE=" + k.certifier.certFile, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=" + k.ctFile, "SIGSTORE_REKOR_PUBLIC_KEY=" + k.rekorFile}
		result := tools.Run(t, env, c.two, "sign", "--yes", "--fulcio-url", k.fulcio, "--rekor-url", k.rekor, "--timestamp-server-url", k.timestamps, "--identity-token", k.token, signed)
		if result.Code != 0 {
			t.Fatalf("cosign 2: %s", result.Stderr)
		}
		w.ok(k.verify("by-cosign")...)
	})
}
