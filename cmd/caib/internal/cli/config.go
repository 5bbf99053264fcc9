package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/pkg/entry"
)

// maxConfig bounds the config file, in bytes.
const maxConfig = 1 << 20

// config is the user's config.yaml: a mapping whose keys are the names of the
// flags of `caib catalog`.
type config struct {
	path string
	keys map[string]*yaml.Node
}

// readConfig reads a config file; one that does not exist is empty. Unknown
// keys and values that are no scalars are an entry.ErrInvalid that names the
// line.
func readConfig(path string) (*config, error) {
	c := &config{path: path, keys: map[string]*yaml.Node{}}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) || path == "" {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: config: %v", entry.ErrInvalid, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("%w: config: %v", entry.ErrInvalid, err)
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%w: config %s: longer than %d bytes", entry.ErrInvalid, path, maxConfig)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, more yaml.Node
	if err := decoder.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: config %s: %v", entry.ErrInvalid, path, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: config %s:%d: want one document", entry.ErrInvalid, path, more.Line)
	}
	if len(root.Content) == 0 {
		return c, nil
	}
	return c, c.read(root.Content[0])
}

func (c *config) read(mapping *yaml.Node) error {
	at := func(node *yaml.Node, format string, args ...any) error {
		return fmt.Errorf("%w: config %s:%d: %s", entry.ErrInvalid, c.path, node.Line, fmt.Sprintf(format, args...))
	}
	if mapping.Kind != yaml.MappingNode {
		return at(mapping, "want a mapping")
	}
	var known []string
	for _, source := range sources {
		known = append(known, source.flag)
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			return at(key, "unknown key %q: want one of %s", key.Value, strings.Join(known, ", "))
		case c.keys[key.Value] != nil:
			return at(key, "key %q is given twice", key.Value)
		case value.Kind == yaml.ScalarNode:
		case value.Kind == yaml.SequenceNode && key.Value == "catalog":
			for _, item := range value.Content {
				if item.Kind != yaml.ScalarNode {
					return at(item, "catalog: want a list of references")
				}
			}
		default:
			return at(value, "%s: want a single value", key.Value)
		}
		c.keys[key.Value] = value
	}
	return nil
}

// values returns what the file says of a key, and where.
func (c *config) values(key string) (values []string, place string) {
	node := c.keys[key]
	if node == nil {
		return nil, ""
	}
	place = fmt.Sprintf("config %s:%d: %s", c.path, node.Line, key)
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}, place
	}
	for _, item := range node.Content {
		values = append(values, item.Value)
	}
	return values, place
}
