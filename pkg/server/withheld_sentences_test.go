package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
)

// How a registry failed is told, of any request, to clients with a token and to
// the log; the others are told the kind. The server's own words are for all.
func TestFailuresAreForTokens(t *testing.T) {
	const token = "correct-horse-battery-staple"
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, fmt.Appendf(nil, "ci:%x\n", sha256.Sum256([]byte(token))), 0o600); err != nil {
		t.Fatal(err)
	}
	s := servingEntries(t, 1)
	var log strings.Builder
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	var err error
	if s.tokens, err = openTokens(path, parseTokens); err != nil {
		t.Fatal(err)
	}
	const answer = "list tags of 10.0.0.7:5000/x: 503: vault is sealed"
	for _, c := range []struct {
		err    error
		status int
		forAll bool
	}{
		{entry.ErrUnreachable, 502, false}, {entry.ErrTimeout, 504, false}, {context.DeadlineExceeded, 504, false}, {entry.ErrUnauthorized, 403, false},
		{errors.New("other"), 500, false}, {entry.ErrUntrusted, 403, false},
		{entry.ErrNotFound, 404, true}, {entry.ErrInvalid, 400, true}, {fmt.Errorf("%w: %w", entry.ErrUnauthorized, gate.ErrNotAllowed), 403, true},
	} {
		for header, all := range map[string]bool{"": false, "Bearer wrong-wrong-wrong-wrong": false, "Basic " + token: false, "Bearer " + token: true} {
			log.Reset()
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			s.computed(&response{ResponseWriter: w, server: s, request: r}, r, func(context.Context) (any, error) { return nil, fmt.Errorf("%s: %w", answer, c.err) })
			told := strings.Contains(w.Body.String(), answer)
			if w.Code != c.status || told != (all || c.forAll) || w.Code == http.StatusOK {
				t.Errorf("%v, %q: %d %s, want %d, and the answer told: %t", c.err, header, w.Code, w.Body, c.status, all || c.forAll)
			}
			if !told && !strings.Contains(log.String(), answer) {
				t.Errorf("%v, %q: the log says %q, want the answer", c.err, header, &log)
			}
		}
	}
}
