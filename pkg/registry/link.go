package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// nextPage returns the query of the page that Link headers (RFC 8288) name as
// the next one, and whether they name one. Nothing else of the link is used:
// behind proxies, its host and path are often not those that were asked, and it
// must not choose who is asked next. A link without a relation is the next one,
// as the first registries wrote it. What cannot be read is an error, since the
// list may go on.
func nextPage(headers []string) (query string, found bool, err error) {
	target, found, err := nextLink(headers)
	if err != nil || !found {
		return "", false, err
	}
	target, _, _ = strings.Cut(target, "#")
	if _, query, _ = strings.Cut(target, "?"); query == "" {
		return "", false, fmt.Errorf("%w: a Link to the next page that names none", entry.ErrUnreachable)
	}
	return query, true, nil
}

// nextLink returns what the link to the next page names, whole.
func nextLink(headers []string) (target string, found bool, err error) {
	for _, header := range headers {
		for rest := strings.TrimLeft(header, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			end := strings.IndexByte(rest, '>')
			if rest[0] != '<' || end < 0 {
				return "", false, fmt.Errorf("%w: a Link that cannot be read", entry.ErrUnreachable)
			}
			target, params := rest[1:end], scanner{rest[end+1:]}
			next := params.isNext()
			rest = params.rest
			if next {
				return target, true, nil
			}
		}
	}
	return "", false, nil
}

// isNext reads the parameters of a link up to the next one, and reports whether
// its relation is "next".
func (s *scanner) isNext() bool {
	related, next := false, false
	for {
		s.rest = strings.TrimLeft(s.rest, " \t")
		if !strings.HasPrefix(s.rest, ";") {
			return next || !related
		}
		s.rest = strings.TrimLeft(s.rest[1:], " \t")
		key := strings.ToLower(s.token())
		rest := strings.TrimLeft(s.rest, " \t")
		value := ""
		if strings.HasPrefix(rest, "=") {
			s.rest = strings.TrimLeft(rest[1:], " \t")
			value = s.linkValue()
		}
		if key == "rel" && !related {
			related = true
			next = slices.Contains(strings.Fields(strings.ToLower(value)), "next")
		}
	}
}

// linkValue is a parameter's value, which ";" ends too.
func (s *scanner) linkValue() string {
	if strings.HasPrefix(s.rest, `"`) {
		return s.value()
	}
	end := strings.IndexAny(s.rest, " \t,;")
	if end < 0 {
		end = len(s.rest)
	}
	value := s.rest[:end]
	s.rest = s.rest[end:]
	return value
}
