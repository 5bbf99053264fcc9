package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A directory has neither a login nor requests.
func TestLayoutHints(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		want string // in the hint; "" for no hint
	}{
		"permission": {fmt.Errorf("%w: %w", entry.ErrUnauthorized, fs.ErrPermission), exitUnauthorized, "chmod -R g+rwX /srv/catalog"},
		"lock":       {fmt.Errorf("%w: %w", entry.ErrTimeout, context.DeadlineExceeded), exitTimeout, "somebody else is writing"},
		"damaged":    {entry.ErrUnreachable, exitUnreachable, ""},
		"full":       {entry.ErrInvalid, exitInvalid, ""},
	} {
		err := fmt.Errorf("publish: %w", &registry.Error{Layout: "/srv/catalog", Err: c.err})
		got := hint(err)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) || strings.Contains(got, "login") {
			t.Errorf("%s: the hint is %q, want one with %q", name, got, c.want)
		}
		if code, _ := exitCode(err); code != c.code {
			t.Errorf("%s: exit code %d, want %d", name, code, c.code)
		}
	}
	for directory, want := range map[string]string{"/srv/a;reboot": "GROUP '/srv/a;reboot' &&", "--reference=/etc": "GROUP ./--reference=/etc &&"} {
		err := &registry.Error{Layout: directory, Err: fmt.Errorf("%w: %w", entry.ErrUnauthorized, fs.ErrPermission)}
		if got := hint(err); !strings.Contains(got, want) {
			t.Errorf("the hint for %s is %q, want one with %q", directory, got, want)
		}
	}
	if got := hint(errors.New("x")); got != "" {
		t.Errorf("the hint of another error is %q, want none", got)
	}
}
