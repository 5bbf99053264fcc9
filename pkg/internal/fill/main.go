// Fill makes catalogs for tests and measurements: large ones, as writers of
// good will make them, and hostile ones, as somebody with push access can.
//
//	fill [-entries N [-names M]] [-key FILE | -keyless ROOT] [-shape SHAPE [-count N]] CATALOG
//
// It publishes the entries first, signed if there is a key or with -keyless, and
// then writes what the shape says. It prints how many live entries there are.
//
// It uses packages that only this module may import, so tests of other modules
// build it and run it as a process.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(1)
	}
}

// catalog is the one that is filled.
type catalog struct {
	reference  string
	repository registry.Repository
	log        *ocilog.Log
	names      int // of entries; 0 for as many as there are publications
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	entries := flags.Int("entries", 0, "publish so many entries; signed ones up to the next snapshot that covers all")
	names := flags.Int("names", 0, "publish them under so many names, in turn; 0 for one each")
	key := flags.String("key", "", "sign each entry with the private key in this `file`")
	keyless := flags.String("keyless", "", "sign each entry with a certificate of its own, and write the trusted root to this `file`")
	shape := flags.String("shape", "", "then write this: "+strings.Join(slices.Sorted(maps.Keys(shapes)), ", "))
	count := flags.Int("count", 0, "so many of what the shape says")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("%d arguments, want one: the catalog", flags.NArg())
	}
	write, known := shapes[*shape]
	if *shape != "" && !known {
		return fmt.Errorf("no shape is called %q", *shape)
	}
	sign, err := newSigning(ctx, *key, *keyless, flags.Arg(0))
	if err != nil {
		return err
	}
	c, err := open(flags.Arg(0))
	if err != nil {
		return err
	}
	c.names = *names
	live, err := c.publish(ctx, *entries, sign)
	if err != nil {
		return err
	}
	if c.names > 0 {
		live = min(live, c.names)
	}
	if known {
		more, err := write(c, ctx, *count)
		if err != nil {
			return fmt.Errorf("%s: %w", *shape, err)
		}
		live += more
	}
	fmt.Println(live)
	return nil
}

func open(reference string) (*catalog, error) {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		return nil, err
	}
	repository, err := client.Open(ref)
	if err != nil {
		return nil, err
	}
	log := ocilog.New(repository, reference, ocilog.Options{NormalReference: normalText})
	return &catalog{reference: reference, repository: repository, log: log}, nil
}

// normalText is the normal form of a reference in a text, as writers of hashes have it.
func normalText(text string) string {
	ref, err := registry.ParseReference(text)
	if err != nil {
		return text
	}
	return ref.Normal().String()
}
