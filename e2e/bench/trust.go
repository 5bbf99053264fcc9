package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// trust measures what signatures cost: verifying many entries in one command
// beside a shell loop of cosign, and listing with and without a policy.
func (b *bench) trust(verified, listed int) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	signer, err := trust.NewSigner(key)
	if err != nil {
		return err
	}
	private, public := filepath.Join(b.dir, "team.key"), filepath.Join(b.dir, "team.pub")
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(public, signer.PublicKey().PEM(), 0o600); err != nil {
		return err
	}
	host, stop, err := b.startRegistry()
	if err != nil {
		return err
	}
	defer stop()
	if err := b.verifyMany(host, public, signer, verified); err != nil {
		return err
	}
	if err := b.listSigned(host, private, public, listed); err != nil {
		return err
	}
	return b.listKeyless(host, listed)
}

// verifyMany publishes signed entries with images of their own, and verifies
// them all.
func (b *bench) verifyMany(host, public string, signer *trust.Signer, entries int) error {
	where := host + "/signed/catalog"
	c, err := catalog.Open(where, catalog.Options{})
	if err != nil {
		return err
	}
	references := make([]string, entries)
	group, within := errgroup.WithContext(b.ctx)
	group.SetLimit(4)
	for i := range entries {
		group.Go(func() error {
			image, err := pushImage(within, fmt.Sprintf("%s/os/image:v%d", host, i), fmt.Sprint(i))
			if err != nil {
				return err
			}
			result, err := c.Publish(within, image, catalog.PublishOptions{Name: fmt.Sprintf("signed-%03d", i), NoAttach: true, Sign: &catalog.Signing{Signer: signer}})
			references[i] = where + "@" + result.Item.Revision.String()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	cosign, err := b.cosign()
	if err != nil {
		return err
	}
	root := filepath.Join(b.dir, "root.json")
	if err := os.WriteFile(root, []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), 0o600); err != nil {
		return err
	}
	loop := fmt.Sprintf("for r in %s; do %s verify --key %s --insecure-ignore-tlog=true --trusted-root %s $r >/dev/null || exit 1; done",
		strings.Join(references, " "), cosign, public, root)
	fmt.Printf("\n%d signed entries on distribution 3.1, caches empty\n", entries)
	fmt.Println("  verify looks at every image and layer as well; list --key at the signatures, as cosign does")
	return b.compare(3,
		side{"caib catalog verify --all", b.command("", "catalog", "verify", "--all", "--key", public, "--catalog", where)},
		side{"caib catalog list --key", b.command("", "catalog", "list", "--key", public, "--catalog", where)},
		side{"a shell loop of cosign verify", func() *exec.Cmd {
			command := exec.CommandContext(b.ctx, "sh", "-c", loop)
			command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir}
			return command
		}},
	)
}

// cosign builds cosign 3, which is a tool of a module of its own.
func (b *bench) cosign() (string, error) {
	path := filepath.Join(b.dir, "cosign")
	output, err := exec.CommandContext(b.ctx, "go", "build", "-C", "sigstore", "-o", path, "github.com/sigstore/cosign/v3/cmd/cosign").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build cosign: %w\n%s", err, output)
	}
	return path, nil
}

func pushImage(ctx context.Context, reference, version string) (string, error) {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return "", err
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		return "", err
	}
	to, err := client.Open(ref)
	if err != nil {
		return "", err
	}
	_, err = samples.Bootc(ctx, to, ref.Tag, samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: version, Created: time.Unix(1e9, 0)})
	return reference, err
}

// listSigned lists a catalog whose newest snapshot carries all signatures, with
// and without a policy.
func (b *bench) listSigned(host, private, public string, entries int) error {
	where := host + "/listed/catalog"
	count, err := b.fill(where, "-entries", fmt.Sprint(entries), "-key", private)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d signed entries on distribution 3.1, signatures in the snapshot, caches empty\n", count)
	plain, err := b.wire(where)
	if err != nil {
		return err
	}
	verified, err := b.wire(where, "--key", public)
	if err != nil {
		return err
	}
	fmt.Printf("  requests: %d unverified, %d verified\n", len(plain), len(verified))
	return b.compare(b.runs,
		side{"caib catalog list --key", b.command("", "catalog", "list", "--key", public, "--catalog", where)},
		side{"caib catalog list", b.command("", "catalog", "list", "--catalog", where)},
	)
}
