package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What tools write into configs and annotations is not always of the type that
// the specification has for it. What is not used must not keep an image from
// being published; what is used is read as far as it can be understood, and what
// that was is reported.

// tolerant reads JSON as Go's own parser does: of names that are there twice the
// last counts, and text need not be UTF-8.
var tolerant = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readConfig reads what is used of a container image's config. Only text that is
// no JSON object is an error.
func readConfig(text []byte, warn func(format string, args ...any)) (config ocispec.Image, err error) {
	if json.Unmarshal(text, &config) == nil {
		return config, nil
	}
	config = ocispec.Image{}
	var top map[string]jsontext.Value
	if err := json.Unmarshal(withoutDeep(withoutPadding(text)), &top, tolerant); err != nil || top == nil {
		return config, errors.New("it is not a JSON object")
	}
	warn("the image's config is not as the OCI specification has it: what can be understood is used")
	r := reader{top, warn}
	config.Architecture, config.OS, config.Variant = r.text("architecture"), r.text("os"), r.text("variant")
	if created := r.text("created"); created != "" {
		if config.Created = lenientTime(created); config.Created == nil {
			warn("the image's creation time is not a time: left out")
		}
	}
	var inner map[string]jsontext.Value
	if r.object("config", &inner) {
		var labels map[string]jsontext.Value
		if (reader{inner, warn}).object("Labels", &labels) {
			config.Config.Labels = map[string]string{}
			for name := range labels {
				if label, ok := scalar(labels[name]); ok {
					config.Config.Labels[name] = label
				}
			}
		}
	}
	return config, nil
}

// withoutPadding takes away the mark that some editors begin a text with, and the
// zeros that some tools end it with.
func withoutPadding(text []byte) []byte {
	return bytes.TrimRight(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), "\x00")
}

// maxNesting is how deep what is used of a config lies, and some more.
const maxNesting = 64

// withoutDeep puts null for each value of a JSON text that is nested deeper than
// maxNesting: nothing there is used, and parsers refuse to go down without end.
func withoutDeep(text []byte) []byte {
	var kept []byte
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		b, deep := text[i], depth > maxNesting
		switch {
		case quoted && b == '\\' && i+1 < len(text):
			if !deep {
				kept = append(kept, b)
			}
			i++
			b = text[i]
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{', b == '[':
			if depth++; depth == maxNesting+1 {
				kept = append(kept, "null"...)
			}
			deep = depth > maxNesting
		case b == '}', b == ']':
			depth--
		}
		if !deep {
			kept = append(kept, b)
		}
	}
	return kept
}

// reader reads members of an object one by one.
type reader struct {
	members map[string]jsontext.Value
	warn    func(format string, args ...any)
}

func (r reader) text(name string) string {
	value, found := r.members[name]
	text, ok := scalar(value)
	if found && !ok && value.Kind() != 'n' {
		r.warn("the image's %s is no text: left out", name)
	}
	return text
}

func (r reader) object(name string, to *map[string]jsontext.Value) bool {
	value, found := r.members[name]
	if !found || value.Kind() == 'n' {
		return false
	}
	if err := json.Unmarshal(value, to, tolerant); err != nil {
		r.warn("the image's %s is no JSON object: left out", name)
		return false
	}
	return true
}

// scalar is the text of a string, number or boolean.
func scalar(value jsontext.Value) (string, bool) {
	switch value.Kind() {
	case '"':
		var text string
		err := json.Unmarshal(value, &text, tolerant)
		return strings.ToValidUTF8(text, "\uFFFD"), err == nil
	case '0', 't', 'f':
		return string(value), true
	}
	return "", false
}

// lenientTime reads a time that may lack its zone, which is then UTC, or the
// colon in it, or the T in the middle, and may be in lower case.
func lenientTime(text string) *time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, strings.ToUpper(text)); err == nil {
			return &at
		}
	}
	return nil
}

// readManifest reads a manifest or an index. Its digests and sizes must be as
// specified, and no member twice that counts; annotations and platforms that are
// not are left out.
func readManifest(body []byte, to any, warn func(format string, args ...any)) error {
	strict := json.Unmarshal(body, to)
	if strict == nil {
		return nil
	}
	var value map[string]any
	if err := json.Unmarshal(body, &value, tolerant); err != nil || value == nil {
		return errors.New("it is not a JSON object")
	}
	if name := repeated(jsontext.NewDecoder(bytes.NewReader(body), tolerant), false); name != "" {
		return fmt.Errorf("the member %.40q is there twice", name)
	}
	loosen(value)
	text, err := json.Marshal(value, jsontext.AllowInvalidUTF8(true))
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return fmt.Errorf("what is at %.80q is not of the type that the OCI specification has for it", semantic.JSONPointer)
	}
	if err != nil {
		return errors.New("it is not as the OCI specification has it")
	}
	warn("parts of the image's manifest that are not needed are not as the OCI specification has them: left out")
	return nil
}

// isUnneeded tells the members of a manifest, and of what it names, that are not
// needed to pull it.
func isUnneeded(name string) bool {
	switch name {
	case "annotations", "platform", "urls", "data", "artifactType", "schemaVersion":
		return true
	}
	return false
}

// repeated returns the name of a member that is twice in one object of the next
// value; "" if there is none. What is not needed may be.
func repeated(d *jsontext.Decoder, unneeded bool) string {
	opened, err := d.ReadToken()
	if err != nil || opened.Kind() != '{' && opened.Kind() != '[' {
		return ""
	}
	seen, isObject, found := map[string]bool{}, opened.Kind() == '{', ""
	for kind := d.PeekKind(); found == "" && kind != '}' && kind != ']' && kind != 0; kind = d.PeekKind() {
		below := unneeded
		if isObject {
			token, err := d.ReadToken()
			if err != nil {
				return ""
			}
			name := token.String()
			below = below || isUnneeded(name)
			if seen[name] && !below {
				return name
			}
			seen[name] = true
		}
		found = repeated(d, below)
	}
	if _, err := d.ReadToken(); err != nil {
		return found
	}
	return found
}

// loosen drops from a manifest what is not needed to pull it: all of it that is
// not used, the rest where it has the wrong type.
func loosen(value any) {
	switch value := value.(type) {
	case []any:
		for _, one := range value {
			loosen(one)
		}
	case map[string]any:
		for name, member := range value {
			switch name {
			case "annotations", "platform":
				if !keepTexts(member) {
					delete(value, name)
				}
			case "artifactType":
				if _, text := member.(string); !text {
					delete(value, name)
				}
			case "urls", "data", "schemaVersion":
				delete(value, name)
			default:
				loosen(member)
			}
		}
	}
}

// keepTexts drops what is no text from an object; it reports whether it is one.
func keepTexts(value any) bool {
	object, ok := value.(map[string]any)
	for name, member := range object {
		text, isText := member.(string)
		if !isText || name == "os.features" {
			delete(object, name)
		} else {
			object[name] = strings.ToValidUTF8(text, "\uFFFD")
		}
	}
	return ok
}
