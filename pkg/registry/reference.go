package registry

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	orasregistry "oras.land/oras-go/v2/registry"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Reference names a repository and, where Tag or Digest is set, one manifest
// in it. Either Registry and Repository are set, or Layout is.
type Reference struct {
	Registry   string // host[:port]
	Repository string
	Layout     string // directory of an OCI image layout
	Tag        string
	Digest     digest.Digest
}

const (
	layoutScheme = "oci:"
	maxReference = 1024
	wantHost     = "want a host name, an IPv4 address or an IPv6 address in brackets, with a port from 1 to 65535 or none; a name in other letters than ASCII begins with xn--"
)

var (
	tagPattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	plainPattern = regexp.MustCompile(`^[^\x00-\x1f\x7f-\x9f\x{061c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]+$`)
)

// ParseReference reads REGISTRY/REPOSITORY[:TAG][@DIGEST] or
// oci:PATH[:TAG][@DIGEST]. Names without a registry are refused, never
// completed. The error is an entry.ErrInvalid.
func ParseReference(text string) (Reference, error) {
	invalid := func(reason string) (Reference, error) {
		return Reference{}, fmt.Errorf("%w: reference %q: %s", entry.ErrInvalid, cutText(text), reason)
	}
	if len(text) > maxReference || !plainPattern.MatchString(text) {
		return invalid(fmt.Sprintf("want 1 to %d printable characters", maxReference))
	}
	if strings.Contains(text, "://") {
		return invalid("want no scheme, only REGISTRY/REPOSITORY[:TAG] or oci:PATH[:TAG]")
	}
	var ref Reference
	rest := text
	if head, tail, found := strings.Cut(text, "@"); found {
		d, err := digest.Parse(tail)
		if err != nil || (d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512) {
			return invalid("the digest is malformed")
		}
		ref.Digest, rest = d, head
	}
	path, isLayout := strings.CutPrefix(rest, layoutScheme)
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexAny(path, `/\`) && (isLayout || strings.Contains(path[:i], "/")) {
		ref.Tag, path = path[i+1:], path[:i]
		if !tagPattern.MatchString(ref.Tag) {
			return invalid("the tag is malformed")
		}
	}
	if isLayout {
		if path == "" {
			return invalid("the path is missing")
		}
		ref.Layout = path
		return ref, nil
	}
	if host, _, _ := strings.Cut(path, "/"); host != "" {
		if _, _, ok := normal.SplitHost(host); !ok {
			return invalid(wantHost)
		}
	}
	parsed, err := orasregistry.ParseReference(path)
	if err != nil {
		return invalid("want REGISTRY/REPOSITORY[:TAG], such as registry.example.com/team/image:1.0")
	}
	ref.Registry, ref.Repository = parsed.Registry, parsed.Repository
	return ref, nil
}

// String returns the form that ParseReference reads.
func (r Reference) String() string {
	text := r.Base()
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest.String()
	}
	return text
}

// Base returns the reference of the repository alone.
func (r Reference) Base() string {
	if r.Layout != "" {
		return layoutScheme + r.Layout
	}
	return r.Registry + "/" + r.Repository
}

// Target is what to resolve in the repository: the digest where there is one,
// else the tag, else "latest", or, in a layout, the only image there is.
func (r Reference) Target() string {
	switch {
	case r.Digest != "":
		return r.Digest.String()
	case r.Tag != "":
		return r.Tag
	case r.Layout != "":
		return onlyImage
	}
	return "latest"
}

// Normal returns the form in which references are compared. The host is in lower
// case, without final dot and default port (443; 80 of loopback hosts, which are
// asked without TLS), IP addresses in their shortest form, and Docker Hub is
// docker.io, with library/ before what has no namespace there. Different names
// of one machine stay different. The path of a layout is cleaned. What a user
// typed is still what is shown to the user.
func (r Reference) Normal() Reference {
	if r.Layout != "" {
		r.Layout = filepath.Clean(r.Layout)
		return r
	}
	r.Registry = normal.Host(r.Registry)
	r.Repository = normal.Repository(r.Registry, r.Repository)
	return r
}
