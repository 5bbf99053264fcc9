package registry

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxSecrets bounds the secrets that are remembered: access tokens come
	// and go, and those that matter are the last ones.
	maxSecrets = 1024
	// shortSecret is the length, in bytes, below which a secret cannot be told
	// from an ordinary word.
	shortSecret = 4
	// masked stands for a secret.
	masked = "***"
)

// secrets are what a client sends and nobody must read: a registry may repeat
// them in its errors, in a redirect, in the words of a token service.
type secrets struct {
	mu   sync.Mutex
	last []string // folded, most recent last
}

// account remembers the secrets of an account.
func (s *secrets) account(a Account) {
	s.login(a.Username, a.Password)
	s.add(a.IdentityToken)
	s.add(a.RegistryToken)
}

// login remembers a password, alone and as it is sent.
func (s *secrets) login(user, password string) {
	s.add(password)
	if password != "" {
		s.add(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(user+":"+password)), "="))
	}
}

// header remembers the Authorization of a request: access tokens are first
// seen there.
func (s *secrets) header(header http.Header) {
	if _, token, found := strings.Cut(header.Get("Authorization"), " "); found {
		s.add(strings.TrimRight(token, "="))
	}
}

// add remembers a secret in the spellings in which it may come back.
func (s *secrets) add(secret string) {
	if len(secret) < shortSecret {
		return
	}
	quoted, escaped := strconv.Quote(secret), url.QueryEscape(secret)
	spellings := []string{
		secret, quoted[1 : len(quoted)-1], escaped, url.QueryEscape(escaped), url.PathEscape(secret),
		strings.NewReplacer("+", "-", "/", "_").Replace(secret), // base64 for URLs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spelling := range spellings {
		spelling = fold(spelling)
		if i := slices.Index(s.last, spelling); i >= 0 {
			s.last = slices.Delete(s.last, i, i+1)
		} else if len(s.last) == maxSecrets {
			s.last = slices.Delete(s.last, 0, 1)
		}
		s.last = append(s.last, spelling)
	}
}

// redact masks every secret in a text, in whatever case.
func (s *secrets) redact(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	hide := make([]bool, len(text))
	folded := fold(text)
	for _, secret := range s.last {
		for from := 0; ; {
			i := strings.Index(folded[from:], secret)
			if i < 0 {
				break
			}
			for n := range len(secret) {
				hide[from+i+n] = true
			}
			from += i + 1
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hide[i]:
			b.WriteByte(text[i])
		case i == 0 || !hide[i-1]:
			b.WriteString(masked)
		}
	}
	return b.String()
}

// fold makes the spellings of a text equal that oras-go makes of it: lower
// case, and spaces for underscores. It keeps every byte where it is.
func fold(text string) string {
	folded := []byte(text)
	for i, b := range folded {
		switch {
		case b >= 'A' && b <= 'Z':
			folded[i] = b - 'A' + 'a'
		case b == '_':
			folded[i] = ' '
		}
	}
	return string(folded)
}

// redacted is an error with its secrets masked.
type redacted struct {
	error
	text string
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.error }

// failure masks the secrets in an error, and of every URL leaves scheme and
// host.
func (s *secrets) failure(err error) error {
	text := s.redact(err.Error())
	text = query.ReplaceAllString(address.ReplaceAllString(text, "://$1"), "")
	if text != err.Error() {
		return redacted{err, text}
	}
	return err
}

// remembering notes what requests log in with.
type remembering struct {
	base    http.RoundTripper
	secrets *secrets
}

func (r *remembering) RoundTrip(request *http.Request) (*http.Response, error) {
	r.secrets.header(request.Header)
	return r.base.RoundTrip(request)
}
