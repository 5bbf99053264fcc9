package registry

import (
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Mirror says where the images below a prefix can be had as well.
type Mirror struct {
	Prefix   string // HOST, HOST/NAMESPACE or HOST/REPOSITORY
	Location string // what stands in its place: HOST, or HOST/PATH
}

// ParseMirror reads PREFIX=LOCATION, such as
// registry.example.com/team=mirror.example.org/copies/team. A slash at the end of
// either means nothing. The error is an entry.ErrInvalid.
func ParseMirror(text string) (Mirror, error) {
	prefix, location, found := strings.Cut(text, "=")
	if !found {
		return Mirror{}, fmt.Errorf("%w: mirror %q: want PREFIX=LOCATION, such as registry.example.com/team=mirror.example.org/team", entry.ErrInvalid, cutText(text))
	}
	mirror := Mirror{Prefix: prefix, Location: location}
	_, err := mirror.endpoint()
	return mirror, err
}

// Rewrite returns the repository of an image at the mirror, with its digest and no
// tag. ok is false for an image that the prefix does not stand for.
func (m Mirror) Rewrite(ref Reference) (at Reference, ok bool, err error) {
	rule, err := m.endpoint()
	if err != nil || ref.Layout != "" {
		return Reference{}, false, err
	}
	matched := matches(rule.prefix, ref.Normal().Base())
	if matched < 0 {
		return Reference{}, false, nil
	}
	at, err = rule.rewritten(ref, matched)
	return at, true, err
}

// endpoint checks a mirror.
func (m Mirror) endpoint() (endpointRule, error) {
	prefix, err := parsePrefix(m.Prefix)
	if err != nil {
		return endpointRule{}, err
	}
	location, err := parseLocation(m.Location)
	return endpointRule{prefix: prefix, location: location}, err
}

// endpointRule is a place for the images below a prefix.
type endpointRule struct {
	prefix   string // in normal form, without a final slash
	location string // the same; "" changes nothing
	insecure bool   // any certificate will do, and plain HTTP where there is no TLS
}

// anySubdomain begins a prefix that stands for every host below a domain.
const anySubdomain = "*."

// parsePrefix returns the normal form of a prefix.
func parsePrefix(text string) (string, error) {
	host, path, found := strings.Cut(strings.TrimRight(text, "/"), "/")
	domain, wild := strings.CutPrefix(host, anySubdomain)
	if _, _, ok := normal.SplitHost(domain); !ok || len(text) > maxReference || wild && found || !plainPattern.MatchString(text) {
		return "", fmt.Errorf("%w: prefix %q: want HOST, HOST/NAMESPACE, HOST/REPOSITORY or *.DOMAIN", entry.ErrInvalid, cutText(text))
	}
	if wild {
		return anySubdomain + normal.Host(domain), nil
	}
	if host = normal.Host(host); found {
		host += "/" + path
	}
	return host, nil
}

// parseLocation returns a location without a final slash.
func parseLocation(text string) (string, error) {
	location := strings.TrimRight(text, "/")
	host, _, _ := strings.Cut(location, "/")
	_, _, ok := normal.SplitHost(host)
	if ref, err := ParseReference(location + "/x"); err != nil || !ok || ref.Layout != "" {
		return "", fmt.Errorf("%w: location %q: want HOST or HOST/PATH", entry.ErrInvalid, cutText(text))
	}
	return location, nil
}

// matches is how much of a repository in normal form a prefix stands for; -1 is
// none of it.
func matches(prefix, repository string) int {
	host, _, _ := strings.Cut(repository, "/")
	if domain, wild := strings.CutPrefix(prefix, anySubdomain); wild {
		if strings.HasSuffix(host, "."+domain) {
			return len(host)
		}
		return -1
	}
	rest, found := strings.CutPrefix(repository, prefix)
	if !found || rest != "" && rest[0] != '/' {
		return -1
	}
	return len(prefix)
}

// rewritten is where an image is by a rule whose prefix stands for so much of its
// repository. It has no tag: what a tag names there, nobody knows.
func (e *endpointRule) rewritten(ref Reference, matched int) (Reference, error) {
	made := Reference{Registry: ref.Registry, Repository: ref.Repository}
	if e.location != "" {
		var err error
		if made, err = ParseReference(e.location + ref.Normal().Base()[matched:]); err != nil {
			return Reference{}, err
		}
		if made.Tag != "" || made.Digest != "" {
			return Reference{}, fmt.Errorf("%w: location %q: want no tag and no digest", entry.ErrInvalid, e.location)
		}
	}
	made.Digest = ref.Digest
	return made, nil
}

// cutText is as much of a text as messages show.
func cutText(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}
