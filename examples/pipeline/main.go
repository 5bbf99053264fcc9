// Command pipeline is what a build pipeline in Go does with a catalog: it
// publishes an image, signed, and lists, gets and verifies what a policy trusts.
// As with caib, logins, certificates, proxies and caches are the environment's.
//
//	pipeline CATALOG IMAGE KEY POLICY
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/trust"
)

func main() {
	if err := run(context.Background(), os.Getenv, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, out io.Writer, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments, want CATALOG IMAGE KEY POLICY", len(args))
	}
	reference, image, key, load := args[0], args[1], args[2], trust.LoadOptions{Getenv: getenv}
	policy, err := trust.LoadPolicy(ctx, args[3], load)
	if err != nil {
		return err
	}
	c, err := catalog.Open(reference, catalog.Options{Getenv: getenv, Policy: policy})
	if err != nil {
		return err
	}
	signer, err := trust.LoadSigner(ctx, trust.SignerOptions{LoadOptions: load, Key: key})
	if err != nil {
		return err
	}
	published, err := c.Publish(ctx, image, catalog.PublishOptions{Tags: []string{"nightly"}, Sign: &catalog.Signing{Signer: signer}})
	if err != nil {
		return err
	}
	page, err := c.List(ctx, catalog.ListOptions{})
	if err != nil {
		return err
	}
	item, err := c.Get(ctx, published.Item.Name, catalog.GetOptions{})
	if err != nil {
		return err
	}
	if _, err := c.Verify(ctx, item.Name, catalog.VerifyOptions{}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is %s, one of %d; the policy refuses %d\n", item.Name, item.Verdict, page.Total, len(page.Refused))
	return err
}
