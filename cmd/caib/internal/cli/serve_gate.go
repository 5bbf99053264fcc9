package cli

import (
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// checkPatterns takes the patterns of --allow-registry apart. An empty one is
// malformed, too: a variable that is not set must not allow everything.
func (o *serveOptions) checkPatterns() error {
	var all []string
	for _, given := range o.allow {
		for pattern := range strings.SplitSeq(given, ",") {
			all = append(all, pattern)
		}
	}
	if _, err := registry.NewGate("oci:.", all, nil); err != nil { // whatever the catalog
		return fmt.Errorf("--allow-registry: %w", err)
	}
	o.allow = all
	return nil
}

// openBehindGates opens the catalogs under a policy, each by a client that opens
// for its entries what the server may, and returns the registries that what the
// policy verifies adds to those of the catalogs; nil where they make no difference.
func (o *serveOptions) openBehindGates(policy *trust.Policy) ([]*catalog.Catalog, *registry.Hosts, error) {
	client, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	var hosts *registry.Hosts
	if policy != nil && len(o.allow) == 0 {
		hosts = registry.NewHosts(o.settings.catalogs...)
	}
	opened, err := o.openThrough(policy, hosts, func(reference string) (*registry.Client, error) {
		gate, err := registry.NewGate(reference, o.allow, hosts)
		if err != nil {
			return nil, err
		}
		return client.Behind(gate), nil
	})
	return opened, hosts, err
}
