// Package gate decides which repositories a server opens for references that
// others wrote. Every door asks the same Gate: the server for what it is told to
// publish, verify or probe, and the catalog (serving.Source.SetGate) wherever it
// opens the repository of an image, since an entry may have changed meanwhile.
//
// A Gate belongs to one catalog. Hosts are registries that several gates let
// through beside their patterns: those of the catalogs and, as evaluations go on,
// those of entries that the policy verifies, which it vouches for.
package gate

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/registry"
)

// ErrNotAllowed is why a Gate does not let a reference through. Nothing was
// opened, so it says nothing about what the reference names.
var ErrNotAllowed = errors.New("not allowed")

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1024

// Gate decides which repositories a server opens for references that others
// wrote: those of the entries of one catalog, and of requests to publish in it.
// The catalog itself always passes. Of image layouts nothing else does: another
// directory is refused in the same words whether or not it exists. Of registries
// pass those that a pattern matches or that are in a set of hosts, or all where
// there is neither.
//
// A gate decides about references. Where an allowed registry redirects to, for
// the bytes of a blob or for a token, is the transport's business.
type Gate struct {
	own      registry.Reference
	patterns []string // as normal.Match takes them
	hosts    *Hosts
}

var (
	hostGlob       = regexp.MustCompile(`^([A-Za-z0-9.*_-]+|\[[0-9A-Fa-f:.]+\])(:[0-9*]{1,5})?$`)
	repositoryGlob = regexp.MustCompile(`^[a-z0-9*]([a-z0-9._*/-]*[a-z0-9*])?$`)
)

// New makes the gate of a catalog. A pattern is HOST[:PORT], for all
// repositories of a registry, or HOST[:PORT]/REPOSITORY; * stands for any
// characters but a slash, ** for any at all. One that is malformed, or could
// match nothing, is an entry.ErrInvalid. hosts may be nil.
func New(catalog string, patterns []string, hosts *Hosts) (*Gate, error) {
	own, err := registry.ParseReference(catalog)
	if err != nil {
		return nil, err
	}
	g := &Gate{own: own, hosts: hosts}
	for _, text := range patterns {
		if err := checkPattern(text); err != nil {
			return nil, err
		}
		host, repository, below := strings.Cut(text, "/")
		if !below {
			repository = "**"
		}
		g.patterns = append(g.patterns, strings.ReplaceAll(host, "**", "*")+"/"+repository) // no host has a slash
	}
	return g, nil
}

// checkPattern reports a pattern that is malformed, or could match nothing.
func checkPattern(text string) error {
	host, repository, below := strings.Cut(text, "/")
	if len(text) > maxPattern || !hostGlob.MatchString(host) || below && (!repositoryGlob.MatchString(repository) || strings.Contains(repository, "//")) {
		return fmt.Errorf("%w: pattern %.80q: want HOST or HOST/REPOSITORY without a tag, where * stands for any characters but a slash and ** for any", entry.ErrInvalid, text)
	}
	return nil
}

// Check reports why a reference is not let through, as Pass does. A text that is
// no reference opens nothing, and passes: whoever is given it says what is wrong
// with it. A nil Gate lets no reference through.
func (g *Gate) Check(reference string) error {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil
	}
	if g == nil {
		return ErrNotAllowed
	}
	_, err = g.Pass(ref)
	return err
}

// Pass returns what to open for a reference. For the catalog's own directory that
// is the path that the catalog was opened with, however the reference spells it:
// nobody can put another directory in its place afterwards. What is not let through
// is an ErrNotAllowed, which for a layout is also an entry.ErrInvalid and else an
// entry.ErrUnauthorized.
func (g *Gate) Pass(ref registry.Reference) (registry.Reference, error) {
	if ref.Layout != "" {
		if g.own.Layout == "" || directory(ref.Layout) != directory(g.own.Layout) {
			return ref, fmt.Errorf("%w: %w: %s: a server opens images from registries only, and from the directory of the catalog they are in", entry.ErrInvalid, ErrNotAllowed, ref)
		}
		ref.Layout = g.own.Layout
		return ref, nil
	}
	if len(g.patterns) == 0 && g.hosts == nil || g.hosts != nil && g.hosts.has(ref) {
		return ref, nil
	}
	matches := func(pattern string) bool { return normal.Match(pattern, ref.Base()) }
	if ref.Normal().Base() == g.own.Normal().Base() || slices.ContainsFunc(g.patterns, matches) {
		return ref, nil
	}
	return ref, fmt.Errorf("%w: %w: %s is not among the registries that this server opens (--allow-registry)", entry.ErrUnauthorized, ErrNotAllowed, ref)
}

// Vouch has the registry of a reference let through, for as long as the hosts of
// the gate have it. A gate without hosts lets through no more than before.
func (g *Gate) Vouch(reference string) {
	if g.hosts != nil {
		g.hosts.add(reference)
	}
}

// directory is the one spelling of a path: absolute, and without symbolic links
// where it exists.
func directory(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path // where the working directory is gone, a path is only itself
	}
	if resolved, err := filepath.EvalSymlinks(absolute); err == nil {
		return resolved
	}
	return absolute
}
