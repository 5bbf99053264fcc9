package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Docs is the page that describes the API.
type Docs struct {
	Frame
	Description []byte // an OpenAPI document, as JSON
}

// Docs writes the description of an API. As much of OpenAPI is read as the one of the
// server has.
func (p *Pages) Docs(docs *Docs) ([]byte, error) {
	v := &docsView{Docs: docs}
	if err := json.Unmarshal(docs.Description, &v.document); err != nil {
		return nil, fmt.Errorf("page docs: %w", err)
	}
	return p.write("docs", v)
}

type docsView struct {
	*Docs
	document document
}

func (v *docsView) Title() string { return "API" }
func (v *docsView) Here() string  { return "docs" }

// Summary and About are what the document says about all of it.
func (v *docsView) Summary() string { return v.document.Info.Summary }
func (v *docsView) About() string   { return v.document.Info.Description }

type document struct {
	Info       struct{ Summary, Description string }
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Parameters map[string]parameter
		Responses  map[string]response
		Schemas    map[string]schema
	}
}

type parameter struct {
	Ref               string `json:"$ref"`
	Name, Description string
	In                string
	Required          bool
	Schema            schema
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]struct{ Schema schema }
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        any
	Enum        []any
	Const       any
	Items       *schema
	Properties  map[string]schema
	Description string
}

// operation is what one method of a path does.
type operation struct {
	Method, Path         string
	Summary, Description string
	Security             []map[string]any
	Parameters           []parameter
	Responses            map[string]response
	RequestBody          struct {
		Content map[string]struct{ Schema schema }
	}
}

var methods = []string{"get", "post", "patch", "put", "delete"}

// Operations returns everything that can be asked.
func (v *docsView) Operations() (all []operation, err error) {
	for _, path := range slices.Sorted(maps.Keys(v.document.Paths)) {
		item := v.document.Paths[path]
		var shared []parameter
		if text := item["parameters"]; text != nil {
			if err := json.Unmarshal(text, &shared); err != nil {
				return nil, err
			}
		}
		for _, method := range methods {
			if item[method] == nil {
				continue
			}
			o := operation{}
			if err := json.Unmarshal(item[method], &o); err != nil {
				return nil, err
			}
			o.Method, o.Path = strings.ToUpper(method), path
			o.Parameters = slices.Concat(shared, o.Parameters)
			for n, p := range o.Parameters {
				if p.Ref != "" {
					o.Parameters[n] = v.document.Components.Parameters[refName(p.Ref)]
				}
			}
			all = append(all, o)
		}
	}
	return all, nil
}

// ID is the fragment of the address that leads to an operation.
func (o operation) ID() string {
	return strings.ToLower(o.Method) + strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-").Replace(o.Path)
}

// NeedsToken reports whether nobody may ask it without a token.
func (o operation) NeedsToken() bool {
	return len(o.Security) > 0 && !slices.ContainsFunc(o.Security, func(one map[string]any) bool { return len(one) == 0 })
}

// Body is what a request holds.
func (o operation) Body() string {
	for _, media := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
		return media + ": " + o.RequestBody.Content[media].Schema.Words()
	}
	return ""
}

// answer is a status with what it says.
type answer struct{ Status, Text string }

// Answers returns the answers that have a description of their own.
func (v *docsView) Answers(o operation) (all []answer) {
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		if r.Ref != "" {
			r = v.document.Components.Responses[refName(r.Ref)]
		}
		text := r.Description
		for _, media := range slices.Sorted(maps.Keys(r.Content)) {
			text = strings.TrimSuffix(text, ".") + " (" + r.Content[media].Schema.Words() + ")"
			break
		}
		all = append(all, answer{status, text})
	}
	return all
}

// Words is the type of a parameter or a member.
func (s schema) Words() string {
	switch {
	case s.Ref != "":
		return refName(s.Ref)
	case len(s.Enum) > 0:
		var words []string
		for _, value := range s.Enum {
			words = append(words, fmt.Sprint(value))
		}
		return strings.Join(words, " | ")
	case s.Const != nil:
		return fmt.Sprint(s.Const)
	case s.Items != nil:
		return "list of " + s.Items.Words()
	case s.Type == nil:
		return "object"
	}
	return fmt.Sprint(s.Type)
}

// object is a schema with its members.
type object struct {
	Name, Description string
	Members           []member
}

type member struct{ Name, Type, Description string }

// Objects returns what requests and answers are made of.
func (v *docsView) Objects() (all []object) {
	for name, s := range v.document.Components.Schemas {
		o := object{Name: name, Description: s.Description}
		for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
			m := s.Properties[key]
			o.Members = append(o.Members, member{key, m.Words(), m.Description})
		}
		if len(o.Members) == 0 {
			o.Description = cmp.Or(o.Description, s.Words())
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
