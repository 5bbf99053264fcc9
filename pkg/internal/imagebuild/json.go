package imagebuild

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// json parses JSON documents into the trees that YAML has: JSON is YAML in
// principle, but not to every YAML parser (tabs, surrogate pairs).
func (f *file) json() (documents []*yaml.Node, err error) {
	reader := &jsonReader{file: f, decoder: jsontext.NewDecoder(bytes.NewReader(f.text)), line: 1}
	for {
		document, err := reader.value()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err == nil && len(documents) == maxBuilds {
			err = f.fail(document.Line, "more than %d documents", maxBuilds)
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

// jsonReader makes nodes of tokens; line is that of the byte at offset.
type jsonReader struct {
	file    *file
	decoder *jsontext.Decoder
	offset  int
	line    int
}

// value reads one value; io.EOF, unwrapped, is the end of the text.
func (r *jsonReader) value() (*yaml.Node, error) {
	token, err := r.decoder.ReadToken()
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, r.syntax(err)
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: token.String(), Line: r.move(int(r.decoder.InputOffset()))}
	switch token.Kind() {
	case '{', '[':
		return r.children(node, token.Kind())
	case '"':
		node.Tag, node.Style = "!!str", yaml.DoubleQuotedStyle
	case 'n':
		node.Tag = "!!null"
	case 't', 'f':
		node.Tag = "!!bool"
	case '0':
		node.Tag = "!!int"
		if strings.ContainsAny(node.Value, ".eE") {
			node.Tag = "!!float"
		}
	}
	return node, nil
}

func (r *jsonReader) children(node *yaml.Node, opened jsontext.Kind) (*yaml.Node, error) {
	node.Kind, node.Tag, node.Value = yaml.MappingNode, "!!map", ""
	if opened == '[' {
		node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	}
	for {
		switch r.decoder.PeekKind() {
		case '}', ']':
			if _, err := r.decoder.ReadToken(); err != nil {
				return nil, r.syntax(err)
			}
			return node, nil
		}
		child, err := r.value()
		if errors.Is(err, io.EOF) {
			err = r.file.fail(r.line, "the text ends within an object")
		}
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
}

func (r *jsonReader) syntax(err error) error {
	at := len(r.file.text)
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		at = min(int(syntactic.ByteOffset), at)
		err = syntactic.Err
	}
	return r.file.fail(r.file.line(at), "%v", err)
}

// move counts lines up to an offset, which never lies before the last one.
func (r *jsonReader) move(to int) int {
	r.line += bytes.Count(r.file.text[r.offset:to], []byte("\n"))
	r.offset = to
	return r.line
}
