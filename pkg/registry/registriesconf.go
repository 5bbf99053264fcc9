package registry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What podman and its kin know of where images are: registries.conf, version 2 of
// the format (containers-registries.conf(5)). Of it, what is about pulls by digest
// counts.

const (
	maxRegistriesConf = 256 << 10 // bytes of a file
	maxDropIns        = 256       // files of a directory
	maxNesting        = 64        // of brackets in a file
)

// registryRule is what a file says of the images below a prefix.
type registryRule struct {
	prefix  string
	from    endpointRule // where they are, when no mirror has them
	mirrors []endpointRule
	blocked bool
	file    string
}

// confFile is a file of the format.
type confFile struct {
	Registries []struct {
		Prefix   string       `toml:"prefix"`
		Location string       `toml:"location"`
		Insecure bool         `toml:"insecure"`
		Blocked  bool         `toml:"blocked"`
		Mirrors  []confMirror `toml:"mirror"`
	} `toml:"registry"`
	Version1 any `toml:"registries"`
}

type confMirror struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	PullFrom string `toml:"pull-from-mirror"`
}

// registriesFiles are the files that tell of registries: one that somebody set,
// which must be right, or those of the system and of the user, of which a later one
// comes before an earlier one.
func registriesFiles(getenv func(string) string, system string) (set string, found []string) {
	if getenv == nil {
		return "", nil
	}
	if path := getenv("CONTAINERS_REGISTRIES_CONF"); path != "" {
		return path, nil
	}
	dirs := []string{system}
	if dir := podmanConfig(getenv); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range slices.Backward(dirs) { // the user's takes the place of the system's
		path := filepath.Join(dir, "registries.conf")
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
			break
		}
	}
	for _, dir := range dirs {
		dropIns, _ := filepath.Glob(filepath.Join(globQuote(dir), "registries.conf.d", "*.conf"))
		found = append(found, dropIns[:min(len(dropIns), maxDropIns)]...)
	}
	return "", found
}

// globQuote makes a path stand for itself in a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// readRegistries reads what files tell, each prefix by the last of them. warn is
// told of a file that nobody set and that is wrong.
func readRegistries(set string, found []string, warn func(error)) ([]registryRule, error) {
	if set != "" {
		rules, err := readRegistriesConf(set)
		if err != nil {
			return nil, fmt.Errorf("CONTAINERS_REGISTRIES_CONF: %w", err)
		}
		return rules, nil
	}
	var all []registryRule
	for _, path := range found {
		rules, err := readRegistriesConf(path)
		if err != nil {
			warn(err)
			continue
		}
		for _, rule := range rules {
			all = slices.DeleteFunc(all, func(other registryRule) bool { return other.prefix == rule.prefix && other.file != path })
			all = append(all, rule)
		}
	}
	return all, nil
}

// readRegistriesConf reads a file. One that is wrong is an entry.ErrInvalid.
func readRegistriesConf(path string) ([]registryRule, error) {
	text, err := readRegistriesText(path)
	if err != nil {
		return nil, fmt.Errorf("%w: registries.conf: %v", entry.ErrInvalid, err)
	}
	invalid := func(err error) ([]registryRule, error) {
		return nil, fmt.Errorf("%w: %s: %s", entry.ErrInvalid, path, strings.TrimPrefix(err.Error(), entry.ErrInvalid.Error()+": "))
	}
	var file confFile
	if nesting(text) > maxNesting {
		return invalid(errors.New("too many brackets in each other"))
	}
	if _, err := toml.Decode(string(text), &file); err != nil {
		return invalid(err)
	}
	if file.Version1 != nil {
		return invalid(errors.New("version 1 of the format, with [registries.…], is not read: want [[registry]]"))
	}
	rules := make([]registryRule, len(file.Registries))
	for n, stated := range file.Registries {
		rule := registryRule{file: path, blocked: stated.Blocked}
		if rule.from, err = parseEndpoint(stated.Prefix, stated.Location, stated.Insecure); err != nil {
			return invalid(err)
		}
		rule.prefix = rule.from.prefix
		for _, mirror := range stated.Mirrors {
			made, used, err := parseMirror(rule.prefix, mirror)
			if err != nil {
				return invalid(err)
			}
			if used {
				rule.mirrors = append(rule.mirrors, made)
			}
		}
		rules[n] = rule
	}
	return rules, nil
}

// parseEndpoint reads where the images below a prefix are.
func parseEndpoint(prefix, location string, insecure bool) (endpointRule, error) {
	made := endpointRule{insecure: insecure}
	var err error
	if location != "" {
		if made.location, err = parseLocation(location); err != nil {
			return made, err
		}
	}
	switch {
	case prefix == "" && location == "":
		return made, errors.New("[[registry]]: prefix and location are missing")
	case prefix == "":
		prefix = location
	case location == "" && !strings.HasPrefix(prefix, anySubdomain):
		return made, fmt.Errorf("[[registry]] with the prefix %q: location is missing", cutText(prefix))
	}
	made.prefix, err = parsePrefix(prefix)
	return made, err
}

// parseMirror reads a mirror, and reports whether it is for pulls by digest.
func parseMirror(prefix string, stated confMirror) (made endpointRule, used bool, err error) {
	switch stated.PullFrom {
	case "", "all", "digest-only":
		used = true
	case "tag-only":
	default:
		return made, false, fmt.Errorf("pull-from-mirror: %q: want all, digest-only or tag-only", cutText(stated.PullFrom))
	}
	made = endpointRule{prefix: prefix, insecure: stated.Insecure}
	made.location, err = parseLocation(stated.Location)
	return made, used, err
}

func readRegistriesText(path string) ([]byte, error) {
	file, info, err := openRegular(path, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info.Size() > maxRegistriesConf {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, maxRegistriesConf)
	}
	return io.ReadAll(io.LimitReader(file, maxRegistriesConf))
}

// nesting is how deep brackets stand in each other at most, in strings and comments
// too.
func nesting(text []byte) (deepest int) {
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// longestMatch is the rule with the longest prefix that stands for a repository in
// normal form; nil is none.
func longestMatch(rules []registryRule, repository string) (found *registryRule, matched int) {
	for n := range rules {
		rule := &rules[n]
		if so := matches(rule.prefix, repository); so >= 0 && (found == nil || len(rule.prefix) > len(found.prefix)) {
			found, matched = rule, so
		}
	}
	return found, matched
}
