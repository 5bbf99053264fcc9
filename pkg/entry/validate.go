package entry

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/oci-catalog/caib/schema"
)

// MaxDocument bounds an entry or removal document, in bytes.
const MaxDocument = 256 << 10

// maxProblems bounds how many problems a ValidationError lists.
const maxProblems = 8

// Compiled once, at the first document: a command that reads none does not
// pay for it.
var (
	entrySchema   = sync.OnceValues(func() (*jsonschema.Schema, error) { return compile(schema.EntryV1) })
	removalSchema = sync.OnceValues(func() (*jsonschema.Schema, error) { return compile(schema.RemovalV1) })
)

func compile(name string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	for _, file := range []string{schema.EntryV1, schema.RemovalV1} {
		text, err := schema.Files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		if err := compiler.AddResource(schema.BaseURL+file, parsed); err != nil {
			return nil, err
		}
	}
	return compiler.Compile(schema.BaseURL + name)
}

// validate checks a document's bytes against the schema of its operation. The
// error is a *ValidationError.
func validate(op Op, document []byte) error {
	what, compiled := "entry", entrySchema
	if op == OpRemove {
		what, compiled = "removal", removalSchema
	}
	invalid := func(reason string) error {
		return &ValidationError{Document: what, Problems: []Problem{{Reason: reason}}}
	}
	if len(document) > MaxDocument {
		return invalid(fmt.Sprintf("%d bytes, more than the %d allowed", len(document), MaxDocument))
	}
	var parsed any
	if err := json.Unmarshal(document, &parsed); err != nil {
		return invalid("not JSON: " + shorten(err.Error()))
	}
	sch, err := compiled()
	if err != nil {
		return err
	}
	err = sch.Validate(parsed)
	if err == nil {
		return nil
	}
	violation, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return invalid(err.Error())
	}
	return &ValidationError{Document: what, Problems: problems(violation, nil)}
}

// problems collects the leaves of a schema violation.
func problems(violation *jsonschema.ValidationError, found []Problem) []Problem {
	if len(found) == maxProblems {
		return found
	}
	if len(violation.Causes) == 0 {
		return append(found, Problem{
			Pointer: pointer(violation.InstanceLocation),
			Reason:  shorten(violation.ErrorKind.LocalizedString(message.NewPrinter(language.English))),
		})
	}
	for _, cause := range violation.Causes {
		found = problems(cause, found)
	}
	return found
}

func pointer(tokens []string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, token := range tokens {
		b.WriteString("/" + escape.Replace(shorten(token)))
	}
	return b.String()
}

// shorten keeps a message readable when the offending value is megabytes long.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
