package imagebuild

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Bounds of a file.
const (
	MaxFile   = 16 << 20 // bytes
	maxBuilds = 10_000
	maxName   = 253 // that Kubernetes has, in characters

	maxMembers = 1000 // of one mapping: the YAML library compares each with each
	maxMessage = 300  // bytes of what an error says of the file
)

// Parse reads the ImageBuild objects of a file, in its order; name is what
// errors call the file. There is at least one, and none is checked yet for
// being complete: see Build.Image.
func Parse(text []byte, name string) ([]Build, error) {
	f := &file{name: name, text: text}
	documents, err := f.documents()
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		if err := f.bound(document); err != nil {
			return nil, err
		}
		if err := f.add(document); err != nil {
			return nil, err
		}
	}
	if len(f.builds) == 0 {
		return nil, f.fail(1, "there is no %s in it", kind)
	}
	return f.builds, nil
}

type file struct {
	name   string
	text   []byte
	builds []Build
}

// fail is an error at a line.
func (f *file) fail(line int, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return fmt.Errorf("%w: %s:%d: %s", entry.ErrInvalid, f.name, max(line, 1), text)
}

// bound refuses a tree with a mapping that is too large.
func (f *file) bound(node *yaml.Node) error {
	if node.Kind == yaml.MappingNode && len(node.Content) > 2*maxMembers {
		return f.fail(node.Line, "more than %d members", maxMembers)
	}
	for _, child := range node.Content {
		if err := f.bound(child); err != nil {
			return err
		}
	}
	return nil
}

// documents parses the text into the trees of its documents.
func (f *file) documents() ([]*yaml.Node, error) {
	if len(f.text) > MaxFile {
		return nil, f.fail(1, "longer than %d bytes", MaxFile)
	}
	f.text = bytes.TrimPrefix(f.text, []byte("\ufeff"))
	if at := notText(f.text); at >= 0 {
		return nil, f.fail(f.line(at), "a byte that is not text: %#x", f.text[at])
	}
	if trimmed := bytes.TrimLeft(f.text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		return f.json()
	}
	return f.yaml()
}

func (f *file) yaml() (documents []*yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(f.text))
	for {
		document := new(yaml.Node)
		err := decoder.Decode(document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, f.syntax(err, 1)
		}
		if len(documents) == maxBuilds {
			return nil, f.fail(document.Line, "more than %d documents", maxBuilds)
		}
		documents = append(documents, document.Content[0])
	}
}

// inLine finds the line that the YAML library puts into its messages.
var inLine = regexp.MustCompile(`line (\d+): `)

// syntax gives an error of the YAML library our form. Those without a line are
// about the whole document, which begins at the given one.
func (f *file) syntax(err error, line int) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var several *yaml.TypeError
	if errors.As(err, &several) && len(several.Errors) > 0 {
		text = several.Errors[0]
	}
	if found := inLine.FindStringSubmatch(text); found != nil {
		line, _ = strconv.Atoi(found[1]) // digits; 0 where there are too many
		text = strings.Replace(text, found[0], "", 1)
	}
	if found := misfit.FindStringSubmatch(text); found != nil {
		text = fmt.Sprintf("want %s, not %s", wanted[found[2]], cmp.Or(given[found[1]], "this"))
	}
	return f.fail(line, "%s", text)
}

// misfit finds what the YAML library says of a value of the wrong kind, in
// words of Go and YAML.
var (
	misfit = regexp.MustCompile(`^cannot unmarshal !!(\w+)(?: .*)? into (struct|imagebuild|map|string|\[\])`)
	given  = map[string]string{"map": "a mapping", "seq": "a list", "str": "text", "int": "a number", "float": "a number", "bool": "a boolean"}
	wanted = map[string]string{"struct": "a mapping", "imagebuild": "a mapping", "map": "a mapping", "string": "text", "[]": "a list"}
)

// add takes the builds of one document: an object, or a list of them.
func (f *file) add(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil // nothing between two separators
	}
	if node.Kind != yaml.MappingNode {
		return f.fail(node.Line, "want an object of kind %s or List", kind)
	}
	var list struct {
		Kind  string      `yaml:"kind"`
		Items []yaml.Node `yaml:"items"`
	}
	if err := f.decode(node, &list); err != nil {
		return err
	}
	if list.Kind != "List" && list.Kind != kind+"List" {
		return f.addOne(node)
	}
	for i := range list.Items {
		if err := f.addOne(&list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) addOne(node *yaml.Node) error {
	var o object
	if err := f.decode(node, &o); err != nil {
		return err
	}
	switch {
	case o.Kind != kind:
		return f.fail(node.Line, "kind %q: want %s", o.Kind, kind)
	case o.APIVersion != apiVersion:
		return f.fail(node.Line, "apiVersion %q: want %s", o.APIVersion, apiVersion)
	case o.Metadata.Name == "":
		return f.fail(node.Line, "metadata.name is missing")
	case len(f.builds) == maxBuilds:
		return f.fail(node.Line, "more than %d builds", maxBuilds)
	case len(o.Metadata.Name) > maxName:
		return f.fail(node.Line, "metadata.name is longer than %d characters", maxName)
	}
	f.builds = append(f.builds, o.build(f.name, node.Line))
	return nil
}

func (f *file) decode(node *yaml.Node, into any) error {
	if err := node.Decode(into); err != nil {
		return f.syntax(err, node.Line)
	}
	return nil
}

// line is the number of the line that holds a byte.
func (f *file) line(at int) int { return 1 + bytes.Count(f.text[:at], []byte("\n")) }

// notText finds the first byte that is neither UTF-8 nor a printable
// character, or returns -1.
func notText(text []byte) int {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if (r == utf8.RuneError && size == 1) || (r < ' ' && r != '\t' && r != '\n' && r != '\r') || r == 0x7f {
			return at
		}
		at += size
	}
	return -1
}
