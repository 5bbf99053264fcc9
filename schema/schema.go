// Package schema holds the format of a caib catalog as machine-readable files:
// the JSON Schemas of the documents that revisions carry. SPEC.md beside them
// describes the whole format in prose, for other implementations.
package schema

import "embed"

// Names of the files in [Files].
const (
	EntryV1   = "entry.v1.schema.json"
	RemovalV1 = "removal.v1.schema.json"
)

// BaseURL is what the schemas' $id starts with; it is an identifier, nothing
// is ever fetched from it.
const BaseURL = "https://github.com/oci-catalog/caib/schema/"

// Files holds the schemas by file name. It is read-only.
//
//go:embed *.schema.json
var Files embed.FS
