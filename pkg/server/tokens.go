package server

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxTokenFile = 1 << 20 // bytes
	minToken     = 16      // bytes of a token
	maxToken     = 4096
)

// tokens are the bearer tokens of a file: of those who may publish, or of those who may
// read (Options.TokenFile and Options.ReadTokenFile).
type tokens struct {
	path  string
	parse func(text []byte) ([]token, error)

	mu    sync.Mutex
	info  fs.FileInfo
	known []token
}

type token struct {
	name string
	hash [sha256.Size]byte
	grant
}

// openTokens reads a token file, as parse understands it. A malformed one is an entry.ErrInvalid that
// names the line, and quotes nothing.
func openTokens(path string, parse func(text []byte) ([]token, error)) (*tokens, error) {
	t := &tokens{path: path, parse: parse}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t, t.refresh()
}

// refresh reads the file if it is not the one that was read last. The caller
// holds the lock.
func (t *tokens) refresh() error {
	file, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("%w: token file: %v", entry.ErrInvalid, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("%w: token file: %v", entry.ErrInvalid, err)
	}
	if t.info != nil && os.SameFile(info, t.info) && info.ModTime().Equal(t.info.ModTime()) && info.Size() == t.info.Size() {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil || len(text) > maxTokenFile {
		return fmt.Errorf("%w: token file %s: not readable, or longer than %d bytes", entry.ErrInvalid, t.path, maxTokenFile)
	}
	known, err := t.parse(text)
	if err != nil {
		return fmt.Errorf("%w: token file %s:%v", entry.ErrInvalid, t.path, err)
	}
	t.info, t.known = info, known
	return nil
}

func parseTokens(text []byte) (known []token, err error) {
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, found := strings.Cut(line, ":")
		sum, ok := parseHash(strings.TrimSpace(hash))
		if name = strings.TrimSpace(name); !found || !ok || !plainID(name) {
			return nil, fmt.Errorf("%d: want NAME:SHA256-OF-THE-TOKEN", number)
		}
		known = append(known, token{name: name, hash: sum})
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("1: no token in it")
	}
	return known, scanner.Err()
}

// parseHash reads the SHA-256 of a token.
func parseHash(text string) (hash [sha256.Size]byte, ok bool) {
	sum, err := hex.DecodeString(strings.TrimPrefix(text, "sha256:"))
	if err != nil || len(sum) != sha256.Size {
		return hash, false
	}
	return [sha256.Size]byte(sum), true
}

// grants returns what the token that is presented lets see, by all of its lines, and the
// name in the first; none if it is not ours. How long it takes says nothing about any
// token.
func (t *tokens) grants(presented string) (name string, grants []grant, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(); err != nil {
		t.info = nil
		return "", nil, err
	}
	sum := sha256.Sum256([]byte(presented))
	for _, known := range t.known {
		if subtle.ConstantTimeCompare(sum[:], known.hash[:]) == 1 {
			name, grants = cmp.Or(name, known.name), append(grants, known.grant)
		}
	}
	if len(presented) < minToken || len(presented) > maxToken {
		return "", nil, nil
	}
	return name, grants, nil
}

// who returns the name of the token that is presented, or "" for none of ours.
func (t *tokens) who(presented string) (string, error) {
	name, _, err := t.grants(presented)
	return name, err
}

var errReadOnly = &problemError{
	Sentence: "this server is read-only: it was started without --allow-publish",
	Code:     "unauthorized", Reason: api.ReasonReadOnly, Status: http.StatusForbidden,
}

type whoKey struct{}

// authorised lets only those through to an action who may publish.
func (s *Server) authorised(action string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.tokens == nil {
			s.fail(w, r, errReadOnly)
			return
		}
		who, err := s.presented(r)
		if err != nil {
			s.log.Error("the tokens cannot be read: nobody may publish", "error", err.Error())
			s.fail(w, r, problem(http.StatusServiceUnavailable, "unreachable", "the server cannot tell who may publish"))
			return
		}
		if who == "" {
			s.audit(r.Context(), requestID(w), auditRecord{action: action, by: "unknown", name: r.PathValue("name")}, errors.New("refused: no token of ours"))
			w.Header().Set("WWW-Authenticate", `Bearer realm="caib catalog"`)
			s.fail(w, r, problem(http.StatusUnauthorized, "unauthorized", "publishing needs a bearer token that this server knows"))
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
	}
}

func who(ctx context.Context) string { name, _ := ctx.Value(whoKey{}).(string); return name }
