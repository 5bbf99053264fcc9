package cli

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A hint is about what went wrong, never about what a repository is called.
func TestHintsDoNotDependOnNames(t *testing.T) {
	t.Parallel()
	const repository = "/os/certificate-service"
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	broken := httptest.NewUnstartedServer(nil)
	broken.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("none") }}
	broken.Config.ErrorLog = log.New(io.Discard, "", 0)
	broken.StartTLS()
	t.Cleanup(broken.Close)
	for name, tt := range map[string]struct {
		server *httptest.Server
		flag   string
		code   int
	}{
		"timed out":       {silent, "--timeout=200ms", exitTimeout},
		"handshake ended": {broken, "--plain-http=false", exitUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, host, _ := strings.Cut(tt.server.URL, "://")
			code, _, stderr := run(t, homeEnv(t), "catalog", "list", "--catalog", host+repository, tt.flag)
			if code != tt.code || !strings.HasSuffix(stderr, "hint: "+noAnswerHint+"\n") {
				t.Errorf("exit code %d, want %d, and the hint %q\n%s", code, tt.code, noAnswerHint, stderr)
			}
		})
	}
}
