package revision

import (
	"fmt"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

// MaxDocument bounds an entry or removal document, in bytes.
const MaxDocument = 256 << 10

// Compiled once, at the first document: a command that reads none does not
// pay for it.
var (
	entrySchema   = sync.OnceValues(func() (*schema.Validator, error) { return schema.Compile(schema.EntryV1) })
	removalSchema = sync.OnceValues(func() (*schema.Validator, error) { return schema.Compile(schema.RemovalV1) })
)

// validate checks a document's bytes against the schema of its operation. The
// error is a *ValidationError.
func validate(op Op, document []byte) error {
	what, compiled := "entry", entrySchema
	if op == OpRemove {
		what, compiled = "removal", removalSchema
	}
	invalid := func(reason string) error {
		return &entry.ValidationError{Document: what, Problems: []schema.Problem{{Reason: reason}}}
	}
	if len(document) > MaxDocument {
		return invalid(fmt.Sprintf("%d bytes, more than the %d allowed", len(document), MaxDocument))
	}
	var parsed any
	if err := json.Unmarshal(document, &parsed); err != nil {
		return invalid("not JSON: " + shorten(err.Error()))
	}
	validator, err := compiled()
	if err != nil {
		return err
	}
	if problems := validator.Problems(parsed); len(problems) > 0 {
		return &entry.ValidationError{Document: what, Problems: problems}
	}
	return nil
}

// shorten keeps a message readable when the offending value is megabytes long.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
