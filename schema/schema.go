// Package schema holds the format of a caib catalog as machine-readable files,
// the JSON Schemas of the documents that revisions carry and of trust policies,
// and checks documents against them. SPEC.md beside them describes the whole format in prose, for
// other implementations.
//
// The validator is google/jsonschema-go with pointers added: another library
// for this version of JSON Schema compiles every meta-schema when a program
// starts, which took a third of the time of a short command.
package schema

import "embed"

// Names of the files in [Files].
const (
	EntryV1   = "entry.v1.schema.json"
	RemovalV1 = "removal.v1.schema.json"
	PolicyV1  = "policy.v1.schema.json"
	OpenAPI   = "openapi.yaml"
)

// BaseURL is what the schemas' $id starts with; it is an identifier, nothing
// is ever fetched from it.
const BaseURL = "https://github.com/oci-catalog/caib/schema/"

// Files holds the schemas, and the description of the HTTP API, by file name. It is read-only.
//
//go:embed *.schema.json openapi.yaml
var Files embed.FS
