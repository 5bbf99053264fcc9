package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/trust"
)

// cosigns are both major versions, with files that they share: keys and the
// configurations that keep them from looking for a network.
type cosigns struct {
	t            testing.TB
	two, three   string
	dir          string
	key, public  string
	root, config string
}

const password = "secret"

func newCosigns(t testing.TB) *cosigns {
	t.Helper()
	dir := t.TempDir()
	c := &cosigns{
		t: t, two: tools.Cosign2(t), three: tools.Cosign3(t), dir: dir,
		key: filepath.Join(dir, "team.key"), public: filepath.Join(dir, "team.pub"),
		root: filepath.Join(dir, "root.json"), config: filepath.Join(dir, "config.json"),
	}
	c.must(c.three, "generate-key-pair", "--output-key-prefix", filepath.Join(dir, "team"))
	write(t, c.root, `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
	write(t, c.config, `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`)
	return c
}

// in is the same in a subtest.
func (c *cosigns) in(t testing.TB) *cosigns {
	same := *c
	same.t = t
	return &same
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cosigns) run(program string, args ...string) tools.Result {
	c.t.Helper()
	return tools.Run(c.t, []string{"HOME=" + c.dir, "COSIGN_PASSWORD=" + password}, program, args...)
}

func (c *cosigns) must(program string, args ...string) {
	c.t.Helper()
	if result := c.run(program, args...); result.Code != 0 {
		c.t.Fatalf("%s %v: exit code %d\n%s", filepath.Base(program), args, result.Code, result.Stderr)
	}
}

// signings are the ways in which the cosigns sign with a key and no network.
func (c *cosigns) signings() map[string]func(image string) {
	return map[string]func(string){
		"cosign 2, legacy": func(image string) {
			c.must(c.two, "sign", "--yes", "--key", c.key, "--tlog-upload=false", image)
		},
		"cosign 2, bundle": func(image string) {
			c.must(c.two, "sign", "--yes", "--key", c.key, "--tlog-upload=false", "--new-bundle-format", "--trusted-root", c.root, image)
		},
		"cosign 3": func(image string) {
			c.must(c.three, "sign", "--yes", "--key", c.key, "--signing-config", c.config, image)
		},
		"cosign 3, legacy": func(image string) {
			c.must(c.three, "sign", "--yes", "--key", c.key, "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false", image)
		},
	}
}

// verifications are the ways in which they verify them.
func (c *cosigns) verifications(format trust.Format, key string) map[string][]string {
	common := []string{"verify", "--key", key, "--insecure-ignore-tlog=true"}
	bundle := append(common, "--new-bundle-format", "--trusted-root", c.root)
	if format == trust.Legacy {
		return map[string][]string{c.two: common, c.three: append(common, "--new-bundle-format=false")}
	}
	return map[string][]string{c.two: bundle, c.three: append(common, "--trusted-root", c.root)}
}

// onSigning runs a test on the two kinds of registries that matter here: those
// without the Referrers API, and those with it.
func onSigning(t *testing.T, test func(t *testing.T, w *world)) {
	for _, name := range []string{"distribution-3.1", "ggcr", "ocimem"} {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, targets()[name](t))) })
	}
}

// What the cosigns sign, in each of their formats, is verified.
func TestCosignSignatures(t *testing.T) {
	c := newCosigns(t)
	text, err := os.ReadFile(c.public)
	if err != nil {
		t.Fatal(err)
	}
	policy := trusting(t, text)
	onSigning(t, func(t *testing.T, w *world) {
		for name := range c.signings() {
			t.Run(name, func(t *testing.T) {
				sign := c.in(t).signings()[name]
				image := w.push("signed", strings.Map(word, name))
				d := w.resolve(image)
				if check := w.check(policy, image, d.Digest); check.Result != trust.Unsigned {
					t.Errorf("before it was signed: %+v", check)
				}
				sign(at2(image, d))
				if check := w.check(policy, image, d.Digest); check.Result != trust.Verified {
					t.Errorf("%+v", check)
				}
			})
		}
	})
}

// What is signed here, with each kind of key and in each format, both cosigns
// verify; and not with another key.
func TestCosignVerifies(t *testing.T) {
	c := newCosigns(t)
	cosignKey, err := os.ReadFile(c.key)
	if err != nil {
		t.Fatal(err)
	}
	signers := map[string][]byte{"cosign's": cosignKey}
	for kind, key := range someKeys(t) {
		signers[kind] = key
	}
	onSigning(t, func(t *testing.T, w *world) {
		for kind, text := range signers {
			signer, err := trust.ParsePrivateKey(text, func() ([]byte, error) { return []byte(password), nil })
			if err != nil {
				t.Fatal(err)
			}
			public := filepath.Join(c.dir, strings.Map(word, kind)+".pem")
			write(t, public, string(signer.PublicKey().PEM()))
			for _, format := range []trust.Format{trust.Bundle, trust.Legacy} {
				t.Run(kind+", "+string(format), func(t *testing.T) {
					c := c.in(t)
					image := w.push("signed", strings.Map(word, kind)+string(format))
					d := w.resolve(image)
					w.sign(signer, format, image, d)
					for program, args := range c.verifications(format, public) {
						c.must(program, append(args, at2(image, d))...)
					}
					if kind != "cosign's" {
						for program, args := range c.verifications(format, c.public) {
							if result := c.run(program, append(args, at2(image, d))...); result.Code == 0 {
								t.Errorf("%s verifies it with another key", filepath.Base(program))
							}
						}
					}
				})
			}
		}
	})
}

// word keeps what can stand in a tag or a file name.
func word(r rune) rune {
	if strings.ContainsRune(" ,'", r) {
		return '-'
	}
	return r
}

// at2 is an image by its digest.
func at2(image string, d ocispec.Descriptor) string {
	return image[:strings.LastIndex(image, ":")] + "@" + d.Digest.String()
}

func trusting(t testing.TB, public []byte) *trust.Policy {
	t.Helper()
	keys, err := trust.ParsePublicKeys("team.pub", public)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := trust.New(nil, nil, &trust.Rule{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// check looks up an image's signatures and judges them.
func (w *world) check(policy *trust.Policy, image string, d digest.Digest) trust.Check {
	w.t.Helper()
	repository, _ := w.repository(image)
	return policy.Check(policy.Rule("", ""), trust.Image, d, trust.Find(w.t.Context(), repository, d))
}

func (w *world) sign(signer trust.Signer, format trust.Format, image string, d ocispec.Descriptor) {
	w.t.Helper()
	repository, ref := w.repository(image)
	signature, err := trust.Sign(w.t.Context(), signer, nil, format, d.Digest, ref.Base())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := trust.Write(w.t.Context(), repository, d, signature, time.Now()); err != nil {
		w.t.Fatal(err)
	}
}
