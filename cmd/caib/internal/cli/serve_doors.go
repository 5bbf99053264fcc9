package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

// checkPatterns takes the patterns of --allow-registry apart. An empty one is
// malformed, too: a variable that is not set must not allow everything.
func (o *serveOptions) checkPatterns() error {
	var all []string
	for _, given := range o.allow {
		for pattern := range strings.SplitSeq(given, ",") {
			if err := registry.CheckPattern(pattern); err != nil {
				return fmt.Errorf("--allow-registry: %w", err)
			}
			all = append(all, pattern)
		}
	}
	o.allow = all
	return nil
}

// openBehindGates opens the catalogs, each by a client that opens for its entries
// what the server may, and returns a probe that uses the same clients.
func (o *serveOptions) openBehindGates() ([]*catalog.Catalog, health.Probe, error) {
	client, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	var probes []health.Probe // of each catalog
	opened, err := o.openThrough(nil, func(reference string) (*registry.Client, error) {
		gate, err := registry.NewGate(reference, o.allow)
		if err != nil {
			return nil, err
		}
		behind := client.Behind(gate)
		probes = append(probes, health.Registry(behind))
		return behind, nil
	})
	if err != nil || len(opened) == 1 { // then entries do not say where they are from
		return opened, func(ctx context.Context, item *entry.Item) error { return probes[0](ctx, item) }, err
	}
	of := map[string]health.Probe{}
	for i, c := range opened {
		of[c.Reference()] = probes[i]
	}
	return opened, func(ctx context.Context, item *entry.Item) error { return of[item.Catalog](ctx, item) }, nil
}
