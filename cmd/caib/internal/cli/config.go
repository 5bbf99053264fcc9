package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/pkg/entry"
)

// maxConfig bounds the config file, in bytes.
const maxConfig = 1 << 20

// config is the user's config.yaml: a mapping whose keys are the names of
// settings, and profiles, which are such mappings too.
type config struct {
	path     string
	keys     map[string]*yaml.Node
	profiles map[string]map[string]*yaml.Node
}

// readConfig reads a config file; one that does not exist is empty. Unknown
// keys and values that their setting cannot have are an entry.ErrInvalid that
// names the line, in a profile that is not used too.
func readConfig(path string) (*config, error) {
	c := &config{path: path}
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
	c.keys, err = c.read(root.Content[0], "", false)
	return c, err
}

func (c *config) invalid(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%w: config %s:%d: %s", entry.ErrInvalid, c.path, node.Line, fmt.Sprintf(format, args...))
}

// read returns the values in a mapping, by the names of their settings. prefix
// is what names in a nested mapping begin with; profile says whether the
// mapping is one.
func (c *config) read(mapping *yaml.Node, prefix string, profile bool) (map[string]*yaml.Node, error) {
	if mapping.Kind != yaml.MappingNode {
		return nil, c.invalid(mapping, "want a mapping")
	}
	keys, seen := map[string]*yaml.Node{}, map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		name := prefix + key.Value
		known := knownKeys(prefix, profile)
		var nested map[string]*yaml.Node
		var err error
		switch {
		case !slices.Contains(known, key.Value):
			err = c.invalid(key, "unknown key %q: want one of %s", key.Value, strings.Join(known, ", "))
		case seen[name]:
			err = c.invalid(key, "key %q is given twice", key.Value)
		case name == "profiles":
			err = c.readProfiles(value)
		case len(knownKeys(name+".", profile)) > 0:
			nested, err = c.read(value, name+".", profile)
		default:
			err = c.check(name, value)
			nested = map[string]*yaml.Node{name: value}
		}
		if err != nil {
			return nil, err
		}
		seen[name] = true
		maps.Copy(keys, nested)
	}
	return keys, nil
}

func (c *config) readProfiles(mapping *yaml.Node) error {
	c.profiles = map[string]map[string]*yaml.Node{}
	if mapping.Kind != yaml.MappingNode {
		return c.invalid(mapping, "profiles: want a mapping")
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name := mapping.Content[i]
		switch {
		case name.Value == "":
			return c.invalid(name, "profiles: one has no name")
		case c.profiles[name.Value] != nil:
			return c.invalid(name, "profiles: there are two called %q", name.Value)
		}
		keys, err := c.read(mapping.Content[i+1], "", true)
		if err != nil {
			return err
		}
		c.profiles[name.Value] = keys
	}
	return nil
}

// knownKeys are the keys of a mapping.
func knownKeys(prefix string, profile bool) (keys []string) {
	for _, source := range allSettings {
		rest, found := strings.CutPrefix(source.flag, prefix)
		key, _, _ := strings.Cut(rest, ".")
		if found && !slices.Contains(keys, key) && (key != "profile" || !profile) {
			keys = append(keys, key)
		}
	}
	if prefix == "" && !profile {
		keys = append(keys, "profiles")
	}
	return keys
}

// check tries a value on a setting that nobody reads.
func (c *config) check(name string, value *yaml.Node) error {
	var unread settings
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	secret := false
	for _, source := range allSettings {
		source.define(&unread, set, source.flag)
		secret = secret || (source.flag == name && source.secret)
	}
	kind := set.Lookup(name).Value.Type()
	items := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode && kind == "list" {
		items = value.Content
	}
	for _, item := range items {
		tag, shown := item.ShortTag(), strconv.Quote(item.Value)
		if secret {
			shown = "the value"
		}
		switch {
		case item.Kind != yaml.ScalarNode && kind == "list":
			return c.invalid(item, "%s: want a value or a list of values", name)
		case item.Kind != yaml.ScalarNode, tag == "!!null":
			return c.invalid(item, "%s: want a single value", name)
		case kind == "bool" && tag != "!!bool":
			return c.invalid(item, "%s: %s: want true or false", name, shown)
		case (kind == "string" || kind == "list") && tag != "!!str":
			return c.invalid(item, "%s: %s: want text; put it in quotes", name, shown)
		}
		if err := set.Set(name, item.Value); err != nil {
			return c.invalid(item, "%s: %s: %v", name, shown, reasonOf(err))
		}
	}
	return nil
}

// values returns what the file says of a setting, and where: the profile, else
// the top. nil is nothing.
func (c *config) values(profile, name string) (values []string, from origin) {
	from.kind = "profile"
	node := c.profiles[profile][name]
	if node == nil {
		from.kind, node = "config", c.keys[name]
	}
	if node == nil {
		return nil, origin{}
	}
	from.place = fmt.Sprintf("%s:%d", c.path, node.Line)
	from.label = fmt.Sprintf("config %s: %s", from.place, name)
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}, from
	}
	values = []string{}
	for _, item := range node.Content {
		values = append(values, item.Value)
	}
	return values, from
}

// listProfiles says which profiles there are.
func (c *config) listProfiles() string {
	if len(c.profiles) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(slices.Sorted(maps.Keys(c.profiles)), ", ")
}
