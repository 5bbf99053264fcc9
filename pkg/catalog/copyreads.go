package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// An entry that no policy verifies is anybody's word, and whoever copies may have access
// that its writer has not. So what it names is read as anybody can read it, unless it
// is the source's own or the user names it (SPEC section 20).

// checkReadFrom checks the prefixes of images that a user names.
func checkReadFrom(prefixes []string) error {
	for _, prefix := range prefixes {
		if _, isLayout := strings.CutPrefix(prefix, layoutScheme); isLayout {
			if ref, err := registry.ParseReference(prefix); err != nil || ref.Tag != "" || ref.Digest != "" {
				return fmt.Errorf("%w: prefix %q: want oci:PATH", entry.ErrInvalid, prefix)
			}
		} else if _, err := registry.ParseMirror(prefix + "=" + elsewhere); err != nil {
			return err
		}
	}
	return nil
}

const (
	layoutScheme = "oci:"
	elsewhere    = "elsewhere.invalid/x" // a location that means nothing
)

// mayRead says why an image is not to be read because an entry says so: a policy refuses
// the revision, or it names a directory of this machine, and nothing shows that it was
// meant. anonymously: it may be read as anybody can.
func (r *copying) mayRead(rev *revision.Revision, report trust.Report, image registry.Reference) (anonymously bool, err error) {
	if r.report != nil {
		if err := report.Err(subject(rev), rev.Digest); err != nil {
			return false, err
		}
	}
	switch {
	case r.from.opener.only != nil, report.Verdict == entry.VerdictVerified, r.isNamed(image):
		return false, nil
	case image.Layout == "":
		return image.Normal().Registry != r.from.reference.Normal().Registry, nil
	case r.from.reference.Layout != "" && isInReach(image.Layout, r.from.reference.Layout):
		return false, nil
	}
	return false, fmt.Errorf("%w: a directory of this machine is not read because an entry says so, unless a policy verifies that, or --read-from names it", entry.ErrUntrusted)
}

// isNamed reports whether the user names a prefix of an image.
func (r *copying) isNamed(image registry.Reference) bool {
	matches := func(prefix string) bool {
		_, ok, _ := registry.Mirror{Prefix: prefix, Location: elsewhere}.Rewrite(image)
		return ok
	}
	for _, rule := range r.options.Map {
		if matches(rule.Prefix) {
			return true
		}
	}
	return slices.ContainsFunc(r.options.ReadFrom, func(prefix string) bool {
		if dir, isLayout := strings.CutPrefix(prefix, layoutScheme); isLayout {
			return image.Layout != "" && isWithin(image.Layout, dir)
		}
		return matches(prefix)
	})
}

// isInReach reports whether an image layout is the one of a catalog, in it, or beside it
// in the same directory: so they were moved together.
func isInReach(layout, catalog string) bool {
	return isWithin(layout, catalog) || filepath.Dir(realPath(layout)) == filepath.Dir(realPath(catalog))
}

// isWithin reports whether a path is a directory or below it, wherever links lead.
func isWithin(path, dir string) bool {
	below, err := filepath.Rel(realPath(dir), realPath(path))
	return err == nil && filepath.IsLocal(below)
}

// realPath is a path without links, as far as it exists.
func realPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// withoutLogin says of an error that the image was asked for without login, and notes it.
// A registry that wants one refuses the entry, and not who copies.
func (r *copying) withoutLogin(image registry.Reference, err error) error {
	host := image.Normal().Registry
	r.mu.Lock()
	if !slices.Contains(r.result.Anonymous, host) {
		r.result.Anonymous = append(r.result.Anonymous, host)
		slices.Sort(r.result.Anonymous)
	}
	r.mu.Unlock()
	if errors.Is(err, entry.ErrUnauthorized) {
		return fmt.Errorf("%w: %s wants a login, and is shown none because an entry says so, unless a policy verifies that, or --read-from or --map names it: %v", entry.ErrUntrusted, host, err)
	}
	return err
}
