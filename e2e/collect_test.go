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

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A registry without the Referrers API that collects what has no tag leaves
// attachments and signatures alone, and one whose index lists what is gone can
// be attached to all the same.
func TestGarbageCollection(t *testing.T) {
	t.Parallel()
	server, oras := registries.Distribution2(t), tools.Oras(t)
	w := newWorld(t, at(server.Host, server.Name, false))
	image := w.push("autosd", "1", "arm64")
	key, public := keyFiles(t)
	w.ok("catalog", "publish", image, "--sign-key", key)
	subject := w.resolve(image)
	server.Collect(t)
	if found := w.attachments(image, subject); found != 1 {
		t.Errorf("%d attachments after the collection, want 1", found)
	}
	w.ok("catalog", "verify", "--all", "--key", public)
	unchanged := w.ok("catalog", "publish", image, "--sign-key", key)
	if !strings.HasPrefix(unchanged.Stdout, "unchanged ") || strings.Contains(unchanged.Stderr, "attached") || !strings.Contains(unchanged.Stderr, "is signed with") {
		t.Errorf("publish of what is whole says %s%s", unchanged.Stdout, unchanged.Stderr)
	}

	// One that is deleted stays listed, and is restored with its blobs.
	repository, _ := w.repository(image)
	w.deleteAttachments(image)
	server.Collect(t)
	if found := w.attachments(image, subject); found != 0 {
		t.Fatalf("%d attachments after the collection, want none", found)
	}
	restored := w.ok("catalog", "publish", image, "--sign-key", key)
	if !strings.HasPrefix(restored.Stdout, "unchanged ") || !strings.Contains(restored.Stderr, "✓ attached to the image") || !strings.Contains(restored.Stderr, "✓ signatures attached") {
		t.Errorf("publish of what was collected says %s%s", restored.Stdout, restored.Stderr)
	}
	server.Collect(t)
	if found := w.attachments(image, subject); found != 1 {
		t.Errorf("%d attachments after they were restored and collected, want 1", found)
	}

	// What another client attached by digest alone is collected, and stays listed.
	list := func() map[digest.Digest]bool {
		t.Helper()
		all, err := repository.Referrers(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		found := map[digest.Digest]bool{}
		for _, d := range all {
			found[d.Digest] = true
		}
		return found
	}
	before := list()
	if result := tools.Run(t, nil, oras, "attach", "--plain-http", "--artifact-type", "application/x.test", "--annotation", "a=b", image); result.Code != 0 {
		t.Fatal(result.Stderr)
	}
	server.Collect(t)
	dangling := 0
	for d := range list() {
		if _, _, err := repository.Manifest(t.Context(), d.String()); errors.Is(err, entry.ErrNotFound) {
			dangling++
		}
	}
	if dangling != 1 {
		t.Fatalf("%d referrers dangle after the collection, want the one of oras", dangling)
	}
	if result := w.ok("catalog", "publish", image, "--tags", "again", "--sign-key", key); !strings.Contains(result.Stderr, "attached") {
		t.Errorf("publish says %s", result.Stderr)
	}
	after := list()
	for d := range before {
		if !after[d] {
			t.Errorf("%s is no longer listed", d)
		}
	}
	if len(after) != len(before)+2 { // the entry and its signatures
		t.Errorf("%d referrers, want %d", len(after), len(before)+2)
	}
}

// deleteAttachments deletes the attachments of an image's repository and the
// signatures beside them, and leaves the index that lists them.
func (w *world) deleteAttachments(image string) {
	w.t.Helper()
	repository, _ := w.repository(image)
	for _, tag := range w.tags(image) {
		if !strings.HasPrefix(tag, "caib.") {
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
