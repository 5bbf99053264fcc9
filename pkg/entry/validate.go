package entry

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
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
	files := map[string]any{}
	for _, file := range []string{schema.EntryV1, schema.RemovalV1} {
		text, err := schema.Files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if files[file], err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			return nil, err
		}
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schema.BaseURL+name, inline(files, name, files[name])); err != nil {
		return nil, err
	}
	return compiler.Compile(schema.BaseURL + name)
}

// inline returns a schema with what it refers to in place of the references:
// a document is validated in half the time. The schemas refer to nothing but
// definitions of these files, and not in circles.
func inline(files map[string]any, file string, node any) any {
	switch n := node.(type) {
	case []any:
		all := make([]any, len(n))
		for i, item := range n {
			all[i] = inline(files, file, item)
		}
		return all
	case map[string]any:
		merged := map[string]any{}
		if ref, ok := n["$ref"].(string); ok {
			at, definition, _ := strings.Cut(ref, "#/$defs/")
			at = cmp.Or(at, file)
			definitions := files[at].(map[string]any)["$defs"].(map[string]any)
			maps.Copy(merged, inline(files, at, definitions[definition]).(map[string]any))
		}
		for key, value := range n {
			if key != "$ref" && key != "$defs" {
				merged[key] = inline(files, file, value)
			}
		}
		return merged
	}
	return node
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
