package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// collected is a published image in a registry without the Referrers API, which
// collects what has no tag.
type collected struct {
	*world
	t           *testing.T
	server      registries.Server
	repository  registry.Repository // of the image
	image       string
	subject     ocispec.Descriptor // the image's
	key, public string             // files
}

// Such a registry leaves attachments and signatures alone, and one whose index
// lists what is gone can be attached to all the same.
func TestGarbageCollection(t *testing.T) {
	t.Parallel()
	server := registries.Distribution2(t)
	w := newWorld(t, at(server.Host, server.Name, false))
	c := &collected{world: w, t: t, server: server, image: w.push("autosd", "1", "arm64")}
	c.repository, _ = w.repository(c.image)
	c.subject = w.resolve(c.image)
	c.key, c.public = keyFiles(t)
	w.ok("catalog", "publish", c.image, "--sign-key", c.key)
	c.leavesWholeAlone()
	c.restoresDeleted()
	c.attachesBesideDangling()
}

// leavesWholeAlone: nothing is collected, and publishing anew has nothing to do.
func (c *collected) leavesWholeAlone() {
	c.collectThenAttached(1)
	c.ok("catalog", "verify", "--all", "--key", c.public)
	unchanged := c.ok("catalog", "publish", c.image, "--sign-key", c.key)
	if !strings.HasPrefix(unchanged.Stdout, "unchanged ") || strings.Contains(unchanged.Stderr, "attached") || !strings.Contains(unchanged.Stderr, "is signed with") {
		c.t.Errorf("publish of what is whole says %s%s, want unchanged and signed", unchanged.Stdout, unchanged.Stderr)
	}
}

// restoresDeleted: what is deleted stays listed, and is restored with its blobs.
func (c *collected) restoresDeleted() {
	c.deleteAttachments(c.image)
	c.collectThenAttached(0)
	restored := c.ok("catalog", "publish", c.image, "--sign-key", c.key)
	if !strings.HasPrefix(restored.Stdout, "unchanged ") || !strings.Contains(restored.Stderr, "✓ attached to the image") || !strings.Contains(restored.Stderr, "✓ signatures attached") {
		c.t.Errorf("publish of what was collected says %s%s, want unchanged and attached again", restored.Stdout, restored.Stderr)
	}
	c.collectThenAttached(1)
}

// attachesBesideDangling: what another client attached by digest alone is
// collected, and stays listed. What caib attaches then loses nothing of the list.
func (c *collected) attachesBesideDangling() {
	before := c.listed()
	if result := tools.Run(c.t, nil, tools.Oras(c.t), "attach", "--plain-http", "--artifact-type", "application/x.test", "--annotation", "a=b", c.image); result.Code != 0 {
		c.t.Fatal(result.Stderr)
	}
	c.server.Collect(c.t)
	dangling := 0
	for d := range c.listed() {
		if _, _, err := c.repository.Manifest(c.t.Context(), d.String()); errors.Is(err, entry.ErrNotFound) {
			dangling++
		}
	}
	if dangling != 1 {
		c.t.Fatalf("%d referrers dangle after the collection, want the one of oras", dangling)
	}
	if result := c.ok("catalog", "publish", c.image, "--tags", "again", "--sign-key", c.key); !strings.Contains(result.Stderr, "attached") {
		c.t.Errorf("publish says %s, want attached", result.Stderr)
	}
	after := c.listed()
	for d := range before {
		if !after[d] {
			c.t.Errorf("%s is no longer listed", d)
		}
	}
	if len(after) != len(before)+2 { // the entry and its signatures
		c.t.Errorf("%d referrers, want %d", len(after), len(before)+2)
	}
}

// collectThenAttached collects garbage, and checks how many attachments the image
// has then.
func (c *collected) collectThenAttached(want int) {
	c.t.Helper()
	c.server.Collect(c.t)
	if got := c.attachments(c.image, c.subject); got != want {
		c.t.Fatalf("%d attachments after the collection, want %d", got, want)
	}
}

// listed returns the digests that the image's index of referrers lists.
func (c *collected) listed() map[digest.Digest]bool {
	c.t.Helper()
	all, err := c.repository.Referrers(c.t.Context(), c.subject)
	if err != nil {
		c.t.Fatal(err)
	}
	found := map[digest.Digest]bool{}
	for _, d := range all {
		found[d.Digest] = true
	}
	return found
}

// deleteAttachments deletes the attachments of an image's repository and the
// signatures beside them, and leaves the index that lists them and the image.
func (w *world) deleteAttachments(image string) {
	w.t.Helper()
	repository, _ := w.repository(image)
	kept := "caib." + w.resolve(image).Digest.Encoded()[:32]
	for _, tag := range w.tags(image) {
		if !strings.HasPrefix(tag, "caib.") || strings.HasPrefix(tag, kept) {
			continue
		}
		if err := repository.Delete(w.t.Context(), tag); err != nil {
			w.t.Fatal(err)
		}
	}
}

// keyFiles writes a key pair.
func keyFiles(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte, err error) string {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write("k.key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	return private, write("k.pub", "PUBLIC KEY", der, err)
}
