package inspect

import (
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
	if err := json.Unmarshal(text, &top, tolerant); err != nil || top == nil {
		return config, fmt.Errorf("no JSON object: %v", err)
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

// lenientTime reads a time that may lack its zone, which is then UTC, or the T
// in its middle.
func lenientTime(text string) *time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return &at
		}
	}
	return nil
}

// readManifest reads a manifest or an index. Its digests and sizes must be as
// specified, and no member there twice; annotations and platforms that are not
// are left out.
func readManifest(body []byte, to any, warn func(format string, args ...any)) error {
	strict := json.Unmarshal(body, to)
	if strict == nil {
		return nil
	}
	var value map[string]any
	if err := json.Unmarshal(body, &value, jsontext.AllowInvalidUTF8(true)); err != nil {
		return strict
	}
	loosen(value)
	text, err := json.Marshal(value, jsontext.AllowInvalidUTF8(true))
	if err != nil || json.Unmarshal(text, to) != nil {
		return strict
	}
	warn("annotations of the image's manifest are not as the OCI specification has them: left out")
	return nil
}

// loosen drops from a manifest what is not needed to pull it, where it has the
// wrong type.
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
			case "urls", "data", "artifactType":
				if _, text := member.(string); !text {
					delete(value, name)
				}
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
		if !isText {
			delete(object, name)
		} else {
			object[name] = strings.ToValidUTF8(text, "\uFFFD")
		}
	}
	return ok
}
