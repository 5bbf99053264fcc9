package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// node is a place in the description. The nil node is none, and has nothing
// below it.
type node struct {
	value   any
	pointer string // JSON pointer, escaped
}

func (n *node) object() map[string]any {
	if n == nil {
		return nil
	}
	object, _ := n.value.(map[string]any)
	return object
}

func (n *node) child(name string) *node {
	value, ok := n.object()[name]
	if !ok {
		return nil
	}
	return &node{value, n.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)}
}

func (n *node) list(name string) (all []*node) {
	child := n.child(name)
	if child == nil {
		return nil
	}
	values, _ := child.value.([]any)
	for i, value := range values {
		all = append(all, &node{value, fmt.Sprintf("%s/%d", child.pointer, i)})
	}
	return all
}

func (n *node) text(name string) string {
	text, _ := n.object()[name].(string)
	return text
}

// follow resolves a reference within the description.
func (d *description) follow(n *node) *node {
	pointer, ok := strings.CutPrefix(n.text("$ref"), "#/")
	if !ok {
		return n
	}
	at := &node{value: d.document}
	for _, name := range strings.Split(pointer, "/") {
		at = at.child(name)
	}
	return at
}

// find returns the operation for a path, the parameters of it and of all
// operations of that path, and the values of those that are parts of the path.
// HEAD is what GET is.
func (d *description) find(method, path string) (operation *node, parameters []*node, parts url.Values) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	paths := (&node{value: d.document}).child("paths")
	for template := range paths.object() {
		item := paths.child(template)
		operation := item.child(strings.ToLower(method))
		if parts, fits := fit(template, path); fits && operation != nil {
			return operation, append(operation.list("parameters"), item.list("parameters")...), parts
		}
	}
	return nil, nil, nil
}

// fit reports whether a path is one of a template, and what stands in for its
// variables.
func fit(template, path string) (parts url.Values, fits bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	parts = url.Values{}
	for i := range want {
		name, variable := strings.CutPrefix(want[i], "{")
		switch {
		case want[i] == got[i]:
		case variable && got[i] != "":
			parts.Set(strings.TrimSuffix(name, "}"), got[i])
		default:
			return nil, false
		}
	}
	return parts, true
}

// parameters checks what was taken from a query, or a path, against the
// parameters of an operation.
func (d *description) parameters(all []*node, in string, values url.Values) error {
	for _, parameter := range all {
		parameter = d.follow(parameter)
		name := parameter.text("name")
		given, ok := values[name]
		if parameter.text("in") != in || !ok {
			continue
		}
		delete(values, name)
		at := d.follow(parameter.child("schema"))
		if err := d.valid(at, parameterValue(at.text("type"), given)); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	for name := range values {
		return fmt.Errorf("parameter %s is taken and not described", name)
	}
	return nil
}

// parameterValue is what the values of a parameter mean as JSON.
func parameterValue(kind string, given []string) any {
	switch {
	case kind == "array":
		all := []any{}
		for _, value := range given {
			all = append(all, value)
		}
		return all
	case len(given) == 1 && (kind == "boolean" || kind == "integer"):
		var value any
		if json.Unmarshal([]byte(given[0]), &value) == nil {
			return value
		}
	case len(given) == 1:
		return given[0]
	}
	return nil // no schema of a parameter takes that
}
