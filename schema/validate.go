package schema

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// Problem is one place where a document violates its schema.
type Problem struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) to the offending value; "" is the whole document
	Reason  string `json:"reason"`
}

// MaxProblems bounds the problems that are told of one document.
const MaxProblems = 8

// Validator checks documents against one schema. It is safe for concurrent use.
type Validator struct {
	schema   *jsonschema.Schema
	resolved *jsonschema.Resolved
	parts    sync.Map // of *jsonschema.Schema: each part by itself, as *jsonschema.Resolved
}

// Compile makes the validator of one of Files. It takes about a millisecond:
// do it once, and only where a document is to be validated.
func Compile(name string) (*Validator, error) {
	files := map[string]map[string]any{}
	for _, file := range []string{EntryV1, name} {
		text, err := Files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var tree map[string]any
		if err := json.Unmarshal(text, &tree); err != nil {
			return nil, err
		}
		delete(tree, "$id")
		files[file] = tree
	}
	text, err := json.Marshal(inline(files, name, files[name]))
	if err != nil {
		return nil, err
	}
	v := &Validator{schema: new(jsonschema.Schema)}
	if err := json.Unmarshal(text, v.schema); err != nil {
		return nil, err
	}
	v.resolved, err = v.schema.Resolve(nil)
	return v, err
}

// inline returns a schema with what it refers to in place of the references:
// each part can then be tried by itself. The schemas refer to nothing but
// definitions of these files, and not in circles.
func inline(files map[string]map[string]any, file string, node any) any {
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
			if at == "" {
				at = file
			}
			maps.Copy(merged, inline(files, at, files[at]["$defs"].(map[string]any)[definition]).(map[string]any))
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

// Problems returns where a document, decoded from JSON into any, violates the
// schema: nil for a valid one, else at least one and at most MaxProblems, those
// of a mapping in the order of its keys.
func (v *Validator) Problems(document any) []Problem {
	whole := v.resolved.Validate(document)
	if whole == nil {
		return nil
	}
	if found := v.locate(v.schema, document, "", nil); len(found) > 0 {
		return found
	}
	return []Problem{{Reason: reason(whole)}}
}

// locate tries each value of a document against its own part of the schema.
func (v *Validator) locate(part *jsonschema.Schema, value any, pointer string, found []Problem) []Problem {
	if len(found) == MaxProblems {
		return found
	}
	if err := v.alone(part, value); err != nil {
		return append(found, Problem{pointer, v.why(part, value, err)})
	}
	switch below := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(below)) {
			at := pointer + "/" + escape.Replace(shorten(key))
			if part.PropertyNames != nil && len(found) < MaxProblems {
				if err := v.alone(part.PropertyNames, key); err != nil {
					found = append(found, Problem{at, reason(err)})
					continue
				}
			}
			child := part.Properties[key]
			if child == nil {
				child = part.AdditionalProperties
			}
			if child != nil {
				found = v.locate(child, below[key], at, found)
			}
		}
	case []any:
		for i, item := range below {
			if part.Items != nil {
				found = v.locate(part.Items, item, pointer+"/"+strconv.Itoa(i), found)
			}
		}
	}
	return found
}

// alone validates a value without what is below it.
func (v *Validator) alone(part *jsonschema.Schema, value any) error {
	if known, ok := v.parts.Load(part); ok {
		return known.(*jsonschema.Resolved).Validate(value)
	}
	shallow := *part
	shallow.PropertyNames = nil
	anything := func() *jsonschema.Schema { return new(jsonschema.Schema) }
	if part.Items != nil {
		shallow.Items = anything()
	}
	if part.AdditionalProperties != nil && part.AdditionalProperties.Not == nil {
		shallow.AdditionalProperties = anything()
	}
	if part.Properties != nil {
		shallow.Properties = map[string]*jsonschema.Schema{}
		for key := range part.Properties {
			shallow.Properties[key] = anything()
		}
	}
	resolved, err := shallow.CloneSchemas().Resolve(nil)
	if err != nil {
		return err
	}
	v.parts.Store(part, resolved)
	return resolved.Validate(value)
}

var (
	escape = strings.NewReplacer("~", "~0", "/", "~1")
	// within is what the library puts before a reason: which part of the
	// schema it was trying.
	within = regexp.MustCompile(`^validating [^:]*: `)
)

// why explains what is wrong with a value itself. Of alternatives, the library
// says only that none fits; here they differ in the members that they require.
func (v *Validator) why(part *jsonschema.Schema, value any, err error) string {
	for _, all := range part.AllOf {
		if err := v.alone(all, value); err != nil {
			return v.why(all, value, err)
		}
	}
	text := reason(err)
	if part.Not != nil && len(part.Not.Required) > 1 && strings.HasPrefix(text, "not:") {
		return "only one is wanted of " + strings.Join(part.Not.Required, ", ")
	}
	for keyword, alternatives := range map[string][]*jsonschema.Schema{"anyOf": part.AnyOf, "oneOf": part.OneOf} {
		if strings.HasPrefix(text, keyword+":") {
			var members []string
			for _, alternative := range alternatives {
				members = append(members, strings.Join(alternative.Required, " and "))
			}
			fault := "missing: one of "
			if strings.Contains(text, " both ") {
				fault = "only one is wanted of "
			}
			return fault + strings.Join(members, ", ")
		}
	}
	return text
}

func reason(err error) string {
	text := err.Error()
	for within.MatchString(text) {
		text = within.ReplaceAllString(text, "")
	}
	return shorten(strings.ReplaceAll(text, "<invalid reflect.Value>", "null"))
}

// shorten keeps a message readable when the offending value is megabytes long.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
