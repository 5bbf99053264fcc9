package registry

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// challenge is one way of logging in that a registry offers (RFC 9110, section
// 11.6.1).
type challenge struct {
	scheme string            // in lower case
	params map[string]string // keys in lower case
}

// The schemes that a registry can be logged in to with.
const (
	schemeBasic  = "basic"
	schemeBearer = "bearer"
)

// parseChallenges reads every challenge of every WWW-Authenticate header. What
// is not understood ends its header; the challenges before it count.
func parseChallenges(headers []string) (all []challenge) {
	for _, header := range headers {
		s := scanner{header}
		for s.more() {
			scheme := s.token()
			if scheme == "" {
				break
			}
			all = append(all, challenge{strings.ToLower(scheme), s.params()})
		}
	}
	return all
}

// scanner reads a WWW-Authenticate header from its front.
type scanner struct{ rest string }

// more skips what is between challenges and parameters.
func (s *scanner) more() bool {
	s.rest = strings.TrimLeft(s.rest, " \t,")
	return s.rest != ""
}

// token reads a word of RFC 9110's token characters.
func (s *scanner) token() string {
	i := strings.IndexFunc(s.rest, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	if i < 0 {
		i = len(s.rest)
	}
	token := s.rest[:i]
	s.rest = s.rest[i:]
	return token
}

// params reads key=value pairs until the next challenge, whose scheme is a word
// without "=". A value without quotes may hold more characters than it should:
// registries write addresses like this.
func (s *scanner) params() map[string]string {
	params := map[string]string{}
	s.skipToken68()
	for s.more() {
		before := s.rest
		key := s.token()
		rest := strings.TrimLeft(s.rest, " \t")
		if key == "" || !strings.HasPrefix(rest, "=") {
			s.rest = before
			if key == "" {
				s.rest = ""
			}
			return params
		}
		s.rest = strings.TrimLeft(rest[1:], " \t")
		params[strings.ToLower(key)] = s.value()
	}
	return params
}

// skipToken68 passes over the data of a scheme like Negotiate: a word after the
// scheme that is no key, with "=" at its end at most.
func (s *scanner) skipToken68() {
	rest := strings.TrimLeft(s.rest, " \t")
	word := rest
	if end := strings.IndexAny(rest, " \t,"); end >= 0 {
		word = rest[:end]
	}
	after := strings.TrimLeft(rest[len(word):], " \t")
	if (after == "" || after[0] == ',') && !strings.ContainsAny(strings.TrimRight(word, "="), `="`) {
		s.rest = after
	}
}

func (s *scanner) value() string {
	if strings.HasPrefix(s.rest, `"`) {
		var b strings.Builder
		for i := 1; i < len(s.rest); i++ {
			switch c := s.rest[i]; {
			case c == '\\' && i+1 < len(s.rest):
				i++
				b.WriteByte(s.rest[i])
			case c == '"':
				s.rest = s.rest[i+1:]
				return b.String()
			default:
				b.WriteByte(c)
			}
		}
		s.rest = ""
		return b.String()
	}
	end := strings.IndexAny(s.rest, " \t,")
	if end < 0 {
		end = len(s.rest)
	}
	value := s.rest[:end]
	s.rest = s.rest[end:]
	return strings.Trim(value, `'`)
}

// maxBearer bounds the token services of one answer that are asked: each is
// sent the password.
const maxBearer = 3

// usable returns the challenges that can be answered, the best first: a token
// service before a password that goes to the registry itself. Realms become
// whole addresses. What would be answered in the same way is there once.
func usable(all []challenge, asked *url.URL) (best []challenge) {
	var basic []challenge
	seen := map[string]bool{}
	for _, c := range all {
		switch c.scheme {
		case schemeBasic:
			basic = []challenge{c}
		case schemeBearer:
			if len(best) == maxBearer {
				continue
			}
			realm, err := asked.Parse(c.params["realm"])
			if err == nil && c.params["realm"] != "" && realm.Host != "" && (realm.Scheme == "http" || realm.Scheme == "https") {
				c.params["realm"] = realm.String()
				if answered := c.header(); !seen[answered] {
					seen[answered] = true
					best = append(best, c)
				}
			}
		}
	}
	return append(best, basic...)
}

// header is the challenge as oras-go reads it.
func (c challenge) header() string {
	if c.scheme == schemeBasic {
		return `Basic realm=` + strconv.Quote(c.params["realm"])
	}
	text := `Bearer realm=` + strconv.Quote(c.params["realm"])
	for _, key := range []string{"service", "scope"} {
		if value := c.params[key]; value != "" {
			text += "," + key + "=" + strconv.Quote(value)
		}
	}
	return text
}

// setChallenge leaves one challenge in an answer.
func setChallenge(response *http.Response, c challenge) {
	response.Header["Www-Authenticate"] = []string{c.header()}
}
