package catalog

import (
	"context"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/registry"
)

// target is the catalog's repository as its log asks it. To the log it always
// matters that a tag is not there: it is a read-back, or a revision that was
// known.
type target struct{ registry.Repository }

// Resolve takes nobody's word for it that something is absent but that of GET.
func (t target) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	return absence.Confirm(ctx, t.Repository, reference)
}

// Date is what time the registry says it is, if it does.
func (t target) Date() time.Time {
	if dated, ok := t.Repository.(interface{ Date() time.Time }); ok {
		return dated.Date()
	}
	return time.Time{}
}

// Tags lists none where a catalog is being begun.
func (t target) Tags(ctx context.Context) ([]string, error) {
	if ctx.Value(initKey{}) != nil {
		return nil, nil
	}
	return t.Repository.Tags(ctx)
}
