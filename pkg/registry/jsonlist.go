package registry

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/entry"
)

// readMembers reads the members of a JSON object. A name that comes twice is an
// error: of two readers each may take another one.
func readMembers(body []byte) (map[string]jsontext.Value, error) {
	// What is below the members is for their readers to check.
	decoder := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if decoder.PeekKind() != '{' {
		return nil, fmt.Errorf("%w: the answer is no JSON object", entry.ErrUnreachable)
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("%w: the answer is no JSON object", entry.ErrUnreachable)
	}
	members := map[string]jsontext.Value{}
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("%w: the answer is no JSON object", entry.ErrUnreachable)
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("%w: the answer is no JSON object", entry.ErrUnreachable)
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("%w: the answer has two members %q", entry.ErrUnreachable, printable(name))
		}
		members[name] = value.Clone()
	}
	return members, nil
}

// readList reads the elements of a member of a JSON object. That it is null
// means that it is empty; that it is not there, or that the object speaks of an
// error, means that the answer is no list.
func readList(body []byte, member string) (map[string]jsontext.Value, []json.RawMessage, error) {
	object, err := readMembers(body)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"errors", "error", "message", "code"} {
		if value, found := object[name]; found && !saysNothing(value) {
			return nil, nil, fmt.Errorf("%w: the answer holds errors, with status 200", entry.ErrUnreachable)
		}
	}
	value, found := object[member]
	if !found {
		return nil, nil, fmt.Errorf("%w: the answer has no member %q: it is no list", entry.ErrUnreachable, member)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		return nil, nil, fmt.Errorf("%w: the member %q of the answer is no list", entry.ErrUnreachable, member)
	}
	return object, elements, nil
}

// saysNothing reports whether a JSON value is null, or empty.
func saysNothing(value jsontext.Value) bool {
	switch value.Kind() {
	case 'n', 'f':
		return true
	case '"':
		return string(value) == `""`
	case '0':
		return string(value) == "0"
	}
	inside := bytes.TrimSpace(value[1 : len(value)-1])
	return value.Kind() != 't' && len(inside) == 0
}

// listBudget is how much a list may still have, over all its pages.
type listBudget struct{ elements, bytes int }

// take takes one page away.
func (l *listBudget) take(elements int, body []byte) error {
	l.elements -= elements
	l.bytes -= len(body)
	if l.elements < 0 || l.bytes < 0 {
		return fmt.Errorf("%w: the list is longer than is read", entry.ErrUnreachable)
	}
	return nil
}
