package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/tools"
)

// cosigns are both major versions, with files that they share: keys and the
// configurations that let them do without a network.
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

// formats are those that a signature can have.
var formats = []string{"bundle", "legacy"}

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
func (c *cosigns) verifications(format, key string) map[string][]string {
	common := []string{"verify", "--key", key, "--insecure-ignore-tlog=true"}
	bundle := append(common, "--new-bundle-format", "--trusted-root", c.root)
	if format == "legacy" {
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
	onSigning(t, func(t *testing.T, w *world) {
		for name := range c.signings() {
			t.Run(name, func(t *testing.T) {
				sign := c.in(t).signings()[name]
				image := w.push("signed", strings.Map(word, name))
				d := w.resolve(image)
				if check := w.checks(image, c.public)[0]; check.Verdict != "unsigned" {
					t.Errorf("before it was signed: %+v, want unsigned", check)
				}
				sign(at2(image, d))
				if check := w.checks(image, c.public)[0]; check.Verdict != "verified" {
					t.Errorf("signed: %+v, want verified", check)
				}
			})
		}
	})
}

// What is signed here, with each kind of key and in each format, both cosigns
// verify; and not with another key.
func TestCosignVerifies(t *testing.T) {
	c := newCosigns(t)
	type pair struct{ private, public string }
	pairs := map[string]pair{"cosign's": {c.key, c.public}}
	for kind, key := range ownKeys() {
		made := pair{filepath.Join(c.dir, kind+".own.key"), filepath.Join(c.dir, kind+".own.pub")}
		write(t, made.private, privatePEM(t, key))
		write(t, made.public, publicPEM(t, key.Public()))
		pairs[kind] = made
	}
	onSigning(t, func(t *testing.T, w *world) {
		for kind, key := range pairs {
			for _, format := range formats {
				t.Run(kind+", "+format, func(t *testing.T) {
					c := c.in(t)
					image := w.push("signed", strings.Map(word, kind)+format)
					d := w.resolve(image)
					w.sign(key.private, format, image)
					for program, args := range c.verifications(format, key.public) {
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

// word replaces what cannot stand in a tag or a file name.
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

// check is what imagesign says of the signatures of an image.
type check struct{ Verdict, Reason string }

// checks finds the signatures of an image, and returns what they are worth by
// each of these public keys.
func (w *world) checks(image string, keys ...string) []check {
	w.t.Helper()
	args := []string{"check"}
	for _, file := range keys {
		args = append(args, "-key", file)
	}
	return parseChecks(w.t, len(keys), imageSign(w.t, append(args, image)...))
}

func parseChecks(t testing.TB, want int, stdout string) (all []check) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var parsed check
		if err := json.Unmarshal([]byte(line), &parsed); err != nil {
			t.Fatalf("imagesign says %q: %v", line, err)
		}
		all = append(all, parsed)
	}
	if len(all) != want {
		t.Fatalf("imagesign says %d things, want %d:\n%s", len(all), want, stdout)
	}
	return all
}

// sign signs an image by our own means, and returns the signature.
func (w *world) sign(key, format, image string, more ...string) (signature string) {
	w.t.Helper()
	return imageSign(w.t, slices.Concat([]string{"sign", "-key", key, "-format", format}, more, []string{image})...)
}

// imageSign runs pkg/internal/imagesign.
func imageSign(t testing.TB, args ...string) (stdout string) {
	t.Helper()
	result := tools.Run(t, []string{"COSIGN_PASSWORD=" + password}, tools.ImageSign(t), args...)
	if result.Code != 0 {
		t.Fatalf("imagesign %v: exit code %d, want 0\n%s", args, result.Code, result.Stderr)
	}
	return result.Stdout
}
