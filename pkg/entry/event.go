package entry

import "github.com/opencontainers/go-digest"

// Event is one revision as `history` shows it.
type Event struct {
	Name        string        `json:"name"`
	At          Time          `json:"at"`
	Operation   string        `json:"operation"` // publish or remove
	Version     string        `json:"version,omitempty"`
	By          string        `json:"by,omitempty"`
	Build       Build         `json:"build,omitzero"` // the run of a pipeline that published it
	Image       string        `json:"image,omitempty"`
	ImageDigest digest.Digest `json:"imageDigest,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Ends        digest.Digest `json:"ends,omitempty"`    // the revision that a removal ends
	Revision    digest.Digest `json:"revision"`          // manifest digest of this revision
	Tag         string        `json:"tag"`               // its tag in the catalog's repository
	Verdict     Verdict       `json:"verdict,omitempty"` // empty: signatures were not checked
	Format      string        `json:"format,omitempty"`  // set when a later format version hides the rest
	Catalog     string        `json:"catalog,omitempty"` // set when several catalogs are read together
}
