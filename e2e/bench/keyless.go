package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// Who signs what fill makes.
const (
	signer = "ci@example.com"
	issuer = "https://issuer.example.com"
)

// listKeyless lists a catalog of keyless signatures, each with a certificate, a
// log entry and a timestamp of its own: with an empty cache, again from what was
// remembered, and without a policy.
func (b *bench) listKeyless(host string, entries int) error {
	where, file := host+"/keyless/catalog", filepath.Join(b.dir, "keyless-root.json")
	count, err := b.fill(where, "-entries", fmt.Sprint(entries), "-keyless", file)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d keyless entries on distribution 3.1, signatures in the snapshot\n", count)
	list := []string{"catalog", "list", "--catalog", where}
	keyless := append([]string{"catalog", "list", "--catalog", where}, "--trusted-root", file, "--certificate-identity", signer, "--certificate-oidc-issuer", issuer)
	if err := b.compare(b.runs, side{"verified, caches empty", b.command("", keyless...)}, side{"not verified, caches empty", b.command("", list...)}); err != nil {
		return err
	}
	home, err := os.MkdirTemp(b.dir, "home-")
	if err != nil {
		return err
	}
	for _, args := range [][]string{keyless, list} {
		if output, err := b.command(home, args...)().CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
	}
	return b.compare(b.runs, side{"verified before", b.command(home, keyless...)}, side{"not verified, caches full", b.command(home, list...)})
}
