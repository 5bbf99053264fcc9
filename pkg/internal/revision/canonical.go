package revision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/gowebpki/jcs"
	"github.com/oci-catalog/caib/pkg/entry"
)

// canonical returns v as canonical JSON (RFC 8785), the only form that writers
// produce (SPEC section 6). Readers never depend on it: they hash bytes. Text
// that is not UTF-8 is an ErrInvalid, where encoding/json would replace it.
func canonical(v any) ([]byte, error) {
	plain, err := jsonv2.Marshal(v, jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(false))
	if err != nil {
		return nil, fmt.Errorf("%w: write as JSON: %v", entry.ErrInvalid, err)
	}
	return jcs.Transform(plain)
}

// carry merges the fields of old that known does not model into fresh, at
// every depth: objects by key, array elements by what names them, else by position.
// All three are JSON objects; known is old as this version of the code would write it, so what
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
	merged, err := json.Marshal(carryTree(trees[0], trees[1], trees[2]))
	if err != nil {
		return nil, fmt.Errorf("carry unknown fields: %w", err)
	}
	text, err := jcs.Transform(merged)
	if err != nil {
		return nil, fmt.Errorf("%w: carry unknown fields: %v", entry.ErrInvalid, err)
	}
	return text, nil
}

// carryTree keeps what a known field holds that is not known, even where the
// field itself is missing in fresh. A known field that old spells out as false,
// 0 or "" is carried too: it says the same as its absence.
func carryTree(old, known, fresh any) any {
	switch o := old.(type) {
	case map[string]any:
		f, ok := fresh.(map[string]any)
		if !ok {
			return fresh
		}
		k, _ := known.(map[string]any)
		for key, value := range o {
			_, modelled := k[key]
			if inFresh, kept := f[key]; kept {
				f[key] = carryTree(value, k[key], inFresh)
			} else if !modelled {
				f[key] = value
			} else if rest := carryTree(value, k[key], map[string]any{}).(map[string]any); len(rest) > 0 {
				f[key] = rest
			}
		}
		return f
	case []any:
		f, ok := fresh.([]any)
		k, _ := known.([]any)
		if !ok || len(k) != len(o) {
			return fresh
		}
		for i, was := range samePlaces(o, f) {
			if was >= 0 {
				f[i] = carryTree(o[was], k[was], f[i])
			}
		}
	}
	return fresh
}

// samePlaces returns, for each element of fresh, the place of the same one in old, or
// -1. Elements that have names are the same by name, or by what it is in lower case
// (targets: name, mismatches: field); others are by position, if there are as many as
// before.
func samePlaces(old, fresh []any) []int {
	places := make([]int, len(fresh))
	for _, key := range []string{"name", "field"} {
		names, ok := elementNames(old, key)
		again, all := elementNames(fresh, key)
		if !ok || !all {
			continue
		}
		for i := range places {
			places[i] = -1
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if i, there := again[strings.ToLower(name)]; there {
				places[i] = names[name]
			}
		}
		for name, i := range again {
			if was, there := names[name]; there {
				places[i] = was
			}
		}
		return places
	}
	for i := range places {
		places[i] = i
		if len(old) != len(fresh) {
			places[i] = -1
		}
	}
	return places
}

// elementNames returns the places of objects by a member that names them; ok is
// false unless each has one of its own.
func elementNames(all []any, key string) (places map[string]int, ok bool) {
	places = make(map[string]int, len(all))
	for i, element := range all {
		object, _ := element.(map[string]any)
		name, named := object[key].(string)
		if _, twice := places[name]; !named || twice {
			return nil, false
		}
		places[name] = i
	}
	return places, true
}

// SameContent reports whether two documents say the same, apart from when, where, by
// whom and by which build they were published, and which signatures were there:
// publishing one over the other changes nothing. An image that is published is often
// signed afterwards.
func SameContent(one, other *Document) bool {
	a, b := *one, *other
	a.PublishedAt, b.PublishedAt = entry.Time{}, entry.Time{}
	a.PublishedBy, b.PublishedBy = "", ""
	a.Build, b.Build = entry.Build{}, entry.Build{}
	a.Catalog, b.Catalog = "", ""
	a.Registry.Referrers, b.Registry.Referrers = unsigned(a.Registry.Referrers), unsigned(b.Registry.Referrers)
	left, err := canonical(a)
	if err != nil {
		return false
	}
	right, err := canonical(b)
	return err == nil && bytes.Equal(left, right)
}

// unsigned leaves out the signatures among referrers.
func unsigned(all []Referrer) []Referrer {
	return slices.DeleteFunc(slices.Clone(all), func(r Referrer) bool { return ReferrerKind(&r) == KindSignature })
}
