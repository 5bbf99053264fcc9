package registry

import (
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// D12: podman's logins are found with and without XDG_RUNTIME_DIR; what another
// user owns is not looked at.
func TestPodmanFiles(t *testing.T) {
	there := func(string) (fs.FileInfo, error) { return nil, os.ErrNotExist }
	locked := func(path string) (fs.FileInfo, error) {
		return nil, map[bool]error{true: os.ErrPermission}[path == "/run/containers/1000/auth.json"]
	}
	for _, tt := range []struct {
		name   string
		env    map[string]string
		system string
		stat   func(string) (fs.FileInfo, error)
		want   []string
	}{
		{"a session", map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/h"}, "linux", there,
			[]string{"/run/user/1000/containers/auth.json", "/run/containers/1000/auth.json", "/h/.config/containers/auth.json"}},
		{"no session", map[string]string{"HOME": "/h"}, "linux", there,
			[]string{"/run/containers/1000/auth.json", "/run/user/1000/containers/auth.json", "/h/.config/containers/auth.json"}},
		{"a directory of another user", map[string]string{"HOME": "/h"}, "linux", locked,
			[]string{"/run/user/1000/containers/auth.json", "/h/.config/containers/auth.json"}},
		{"another system", map[string]string{"HOME": "/h"}, "darwin", there, []string{"/h/.config/containers/auth.json"}},
		{"a relative directory", map[string]string{"XDG_RUNTIME_DIR": "run"}, "linux", there,
			[]string{"/run/containers/1000/auth.json", "/run/user/1000/containers/auth.json"}},
	} {
		getenv := func(name string) string { return tt.env[name] }
		got := podmanFiles(getenv, sessionFiles(tt.system, 1000, tt.stat))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
