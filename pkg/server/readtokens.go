package server

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/page"
)

// openReaders reads the tokens of those who may read, if they are in a file.
func (s *Server) openReaders(sources []source) (err error) {
	if s.options.ReadTokenFile == "" {
		return nil
	}
	var catalogs []string
	for _, one := range sources {
		catalogs = append(catalogs, one.Reference())
	}
	s.readers, err = openTokens(s.options.ReadTokenFile, func(text []byte) ([]token, error) { return parseReadTokens(text, catalogs) })
	return err
}

// parseReadTokens reads lines NAME HASH [CATALOG [NAME-PATTERN]].
func parseReadTokens(text []byte, catalogs []string) (known []token, err error) {
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; scanner.Scan(); number++ {
		fields := strings.Fields(scanner.Text())
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		hash, ok := [32]byte{}, false
		if len(fields) >= 2 && len(fields) <= 4 {
			hash, ok = parseHash(fields[1])
		}
		if !ok || !plainID(fields[0]) {
			return nil, fmt.Errorf("%d: want NAME SHA256-OF-THE-TOKEN [CATALOG [NAME-PATTERN]]", number)
		}
		one := token{name: fields[0], hash: hash}
		if len(fields) > 2 && fields[2] != "*" {
			if one.grant.catalog = fields[2]; !slices.Contains(catalogs, one.grant.catalog) {
				return nil, fmt.Errorf("%d: no catalog %q is served: want *, or one of %s", number, printable(fields[2]), strings.Join(catalogs, ", "))
			}
		}
		if len(fields) > 3 && fields[3] != "*" {
			one.grant.pattern = fields[3]
			if err := (entry.Query{Name: one.grant.pattern}).Check(); err != nil {
				return nil, fmt.Errorf("%d: %v", number, err)
			}
		}
		known = append(known, one)
	}
	if len(known) == 0 && scanner.Err() == nil {
		return nil, fmt.Errorf("1: no token in it")
	}
	return known, scanner.Err()
}

// tokenCookie is what a browser keeps a token in, until it is closed.
const tokenCookie = "caib-token"

// reader returns who makes a request, and what they may see; name is "" without a token
// of ours. A cookie counts for what only reads: other sites can have a browser send it.
func (s *Server) reader(r *http.Request) (name string, sc *scope, err error) {
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	presented = strings.TrimSpace(presented)
	if !strings.EqualFold(scheme, "Bearer") {
		presented = ""
		if cookie, err := r.Cookie(tokenCookie); err == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			text, _ := base64.RawURLEncoding.DecodeString(cookie.Value)
			presented = string(text)
		}
	}
	return s.readerOf(presented)
}

// readerOf is reader for a token. Whoever may publish may see everything.
func (s *Server) readerOf(presented string) (name string, sc *scope, err error) {
	if presented == "" {
		return "", nothing, nil
	}
	if s.tokens != nil {
		if name, err := s.tokens.who(presented); err == nil && name != "" {
			return name, nil, nil
		}
	}
	name, grants, err := s.readers.grants(presented)
	if err != nil || name == "" {
		return "", nothing, err
	}
	return name, newScope(grants), nil
}

// stillReads returns what reports whether whoever made a request may see now what they
// might see then: a token can be taken back while its events are told.
func (s *Server) stillReads(r *http.Request) func() bool {
	if s.readers == nil {
		return func() bool { return true }
	}
	then := s.scopeOf(r.Context())
	return func() bool {
		name, now, err := s.reader(r)
		return name != "" && err == nil && now.equal(then)
	}
}

var (
	errNoReadToken = problem(http.StatusUnauthorized, "unauthorized", "reading needs a bearer token that this server knows")
	errNoReaders   = problem(http.StatusServiceUnavailable, "unreachable", "the server cannot tell who may read")
	errNotWhole    = problem(http.StatusForbidden, "unauthorized", "this is about all catalogs: it needs a token that may read all of them")
)

// reading lets only those through who may read, where that needs a token; with whole,
// only those who may read everything.
func (s *Server) reading(next http.HandlerFunc, whole bool) http.HandlerFunc {
	if s.readers == nil {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, no-cache")
		name, sc, err := s.reader(r)
		switch {
		case err != nil:
			s.log.Error("the read tokens cannot be read: nobody may read", "error", err.Error())
			s.fail(w, r, errNoReaders)
		case name == "" && acceptsHTML(r):
			s.signInPage(w, r, &page.SignIn{To: r.URL.RequestURI()})
		case name == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="caib catalog"`)
			s.fail(w, r, errNoReadToken)
		case whole && sc != nil:
			s.fail(w, r, errNotWhole)
		default:
			next(w, r.WithContext(withReader(r.Context(), name, sc)))
		}
	}
}

// signInPage asks for a token.
func (s *Server) signInPage(w http.ResponseWriter, r *http.Request, signIn *page.SignIn) {
	html, err := s.pages.SignIn(signIn)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="caib catalog"`)
	s.sendPage(w, r, newBody(html), http.StatusUnauthorized)
}

// signIn answers POST /signin: the token of the form goes into a cookie, or out of it.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	if s.readers == nil {
		s.fail(w, r, errNoRoute)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 3*maxToken+maxQuery)
	if err := errors.Join(http.NewCrossOriginProtection().Check(r), r.ParseForm()); err != nil {
		s.fail(w, r, problem(http.StatusBadRequest, "invalid", "this is not the form of this server"))
		return
	}
	cookie := &http.Cookie{
		Name: tokenCookie, Path: s.options.BasePath + "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
	to := r.PostForm.Get("to")
	if r.PostForm.Has("forget") {
		cookie.MaxAge, to = -1, "/"
	} else {
		presented := strings.TrimSpace(r.PostForm.Get("token"))
		name, _, err := s.readerOf(presented)
		if err != nil {
			s.fail(w, r, errNoReaders)
			return
		}
		if name == "" {
			s.signInPage(w, r, &page.SignIn{To: to, Refused: true})
			return
		}
		cookie.Value = base64.RawURLEncoding.EncodeToString([]byte(presented))
	}
	if path, _, _ := strings.Cut(to, "?"); !cleanPath(&http.Request{URL: pathOf(path)}) || strings.ContainsAny(to, "\r\n\\#") {
		to = "/"
	}
	http.SetCookie(w, cookie)
	page.Headers(w.Header(), r.TLS != nil)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", s.options.BasePath+to)
	w.WriteHeader(http.StatusSeeOther)
}
