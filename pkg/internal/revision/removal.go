package revision

import (
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

// Removal is the document of a removal revision (SPEC section 7,
// schema/removal.v1.schema.json).
type Removal struct {
	Name      string        `json:"name"`
	Reason    string        `json:"reason,omitempty"`
	RemovedAt entry.Time    `json:"removedAt"` // the time of the revision's tag
	RemovedBy string        `json:"removedBy,omitempty"`
	Catalog   string        `json:"catalog,omitempty"` // where it was removed, in normal form; "" is not said
	Revision  digest.Digest `json:"revision"`          // manifest digest of the publication it ends
}
