package catalog

import (
	"context"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
)

// Probe reports why the image of an entry cannot be had now as it was published;
// nil means that it can. It asks for the manifest and nothing below.
func (c *Catalog) Probe(ctx context.Context, item *entry.Item) error {
	return health.Registry(c.options.Registry)(ctx, item)
}
