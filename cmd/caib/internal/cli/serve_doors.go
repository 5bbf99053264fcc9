package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/health"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
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

// openBehindGates opens the catalogs under a policy, each by a client that opens
// for its entries what the server may, and returns a probe that uses the same
// clients, and the registries that what the policy verifies adds to those of the
// catalogs; nil where they make no difference.
func (o *serveOptions) openBehindGates(policy *trust.Policy) ([]*catalog.Catalog, health.Probe, *registry.Hosts, error) {
	client, err := o.client()
	if err != nil {
		return nil, nil, nil, err
	}
	var hosts *registry.Hosts
	if policy != nil && len(o.allow) == 0 {
		hosts = registry.NewHosts(o.settings.catalogs...)
	}
	var probes []health.Probe // of each catalog
	opened, err := o.openThrough(policy, hosts, func(reference string) (*registry.Client, error) {
		gate, err := registry.NewGate(reference, o.allow, hosts)
		if err != nil {
			return nil, err
		}
		behind := client.Behind(gate)
		probes = append(probes, health.Registry(behind))
		return behind, nil
	})
	if err != nil || len(opened) == 1 { // then entries do not say where they are from
		return opened, func(ctx context.Context, item *entry.Item) error { return probes[0](ctx, item) }, hosts, err
	}
	of := map[string]health.Probe{}
	for i, c := range opened {
		of[c.Reference()] = probes[i]
	}
	return opened, func(ctx context.Context, item *entry.Item) error { return of[item.Catalog](ctx, item) }, hosts, nil
}
