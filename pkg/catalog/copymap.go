package catalog

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// copyMap says where the images of a copy go (SPEC section 20).
type copyMap struct {
	rules []registry.Mirror // that the user gave, the longest prefix first
	from  string            // the source, in normal form
	to    registry.Reference
	below string // HOST or HOST/PATH, where images go that no rule is for
}

// componentPattern is a part of the path of a repository.
var componentPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)

// newCopyMap makes the map of copies into a catalog. Where rules name no other place,
// images go below what the catalog's repository is in, and into a layout itself.
func newCopyMap(from string, to registry.Reference, rules []registry.Mirror) (*copyMap, error) {
	m := &copyMap{rules: slices.Clone(rules), from: from, to: to}
	if to.Layout != "" {
		if len(rules) > 0 {
			return nil, fmt.Errorf("%w: a directory holds the images of its catalog itself: they are mapped to no other place", entry.ErrInvalid)
		}
		return m, nil
	}
	for n, rule := range rules {
		if other := slices.IndexFunc(rules[:n], func(r registry.Mirror) bool {
			return strings.TrimRight(r.Prefix, "/") == strings.TrimRight(rule.Prefix, "/")
		}); other >= 0 {
			return nil, fmt.Errorf("%w: images below %s are mapped to %s and to %s", entry.ErrInvalid, rule.Prefix, rules[other].Location, rule.Location)
		}
	}
	slices.SortStableFunc(m.rules, func(a, b registry.Mirror) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	m.below = path.Dir(to.Normal().Base())
	return m, nil
}

// target returns the repository that an image is copied to, and what tells readers. It
// is that of the catalog only for an image that the source has in its own.
func (m *copyMap) target(image registry.Reference) (at registry.Reference, tells revision.Location, err error) {
	at, tells, err = m.mapped(image)
	if err == nil && m.to.Layout == "" && at.Normal().Base() == m.to.Normal().Base() && image.Normal().Base() != m.from {
		err = fmt.Errorf("%w: images of %s would be put into the repository of the catalog itself: map those of a registry elsewhere, or rename the directory", entry.ErrInvalid, image.Base())
	}
	return at, tells, err
}

func (m *copyMap) mapped(image registry.Reference) (at registry.Reference, tells revision.Location, err error) {
	image = image.Normal()
	prefix, rest := image.Registry, image.Repository
	if image.Layout != "" {
		prefix, rest = image.Base(), ""
	}
	if m.to.Layout != "" {
		return m.to, revision.Location{Prefix: prefix + "/", At: []string{revision.OwnLayout}}, nil
	}
	for _, rule := range m.rules {
		at, ok, err := rule.Rewrite(image)
		if ok || err != nil {
			at.Digest = ""
			return at, revision.Location{Prefix: strings.TrimRight(rule.Prefix, "/") + "/", At: []string{strings.TrimRight(rule.Location, "/") + "/"}}, err
		}
	}
	below := m.below
	if image.Layout != "" {
		name := strings.ToLower(filepath.Base(image.Layout))
		if !componentPattern.MatchString(name) {
			return at, tells, fmt.Errorf("%w: %s has no place at the destination: no repository is called %q, rename the directory", entry.ErrInvalid, image.Base(), name)
		}
		below = path.Join(below, name)
	}
	if at, err = registry.ParseReference(path.Join(below, rest)); err != nil {
		return at, tells, fmt.Errorf("%s has no place at the destination, give it one with a map: %w", image.Base(), err)
	}
	return at, revision.Location{Prefix: prefix + "/", At: []string{below + "/"}}, nil
}
