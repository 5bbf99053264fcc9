package entry

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// canonical returns v as canonical JSON (RFC 8785), the only form that writers
// produce (SPEC section 6). Readers never depend on it: they hash bytes.
func canonical(v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(plain)
}

// carry merges the fields of old that known does not model into fresh, at
// every depth: objects by key, array elements by position. All three are JSON
// objects; known is old as this version of the code would write it, so what
// old has beyond it is what a newer writer added. The result is canonical.
func carry(old, known, fresh []byte) ([]byte, error) {
	var trees [3]any
	for i, text := range [][]byte{old, known, fresh} {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&trees[i]); err != nil {
			return nil, fmt.Errorf("carry unknown fields: %w", err)
		}
	}
	return canonical(carryTree(trees[0], trees[1], trees[2]))
}

func carryTree(old, known, fresh any) any {
	switch o := old.(type) {
	case map[string]any:
		f, ok := fresh.(map[string]any)
		if !ok {
			return fresh
		}
		k, _ := known.(map[string]any)
		for key, value := range o {
			if _, modelled := k[key]; !modelled {
				if _, taken := f[key]; !taken && !emptyJSON(value) {
					f[key] = value
				}
			} else if inFresh, kept := f[key]; kept {
				f[key] = carryTree(value, k[key], inFresh)
			}
		}
		return f
	case []any:
		f, ok := fresh.([]any)
		k, _ := known.([]any)
		if !ok || len(f) != len(o) || len(k) != len(o) {
			return fresh
		}
		for i := range f {
			f[i] = carryTree(o[i], k[i], f[i])
		}
	}
	return fresh
}

// emptyJSON tells a value that omitempty would have left out: a known field
// written as false, 0 or "" is not an unknown field.
func emptyJSON(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// SameContent reports whether two documents say the same, apart from when and
// by whom they were published: publishing one over the other changes nothing.
func (d *Document) SameContent(other *Document) bool {
	a, b := *d, *other
	a.PublishedAt, b.PublishedAt = Time{}, Time{}
	a.PublishedBy, b.PublishedBy = "", ""
	left, err := canonical(a)
	if err != nil {
		return false
	}
	right, err := canonical(b)
	return err == nil && bytes.Equal(left, right)
}
