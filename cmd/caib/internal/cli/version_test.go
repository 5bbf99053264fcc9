package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersionSaysTheCommit(t *testing.T) {
	t.Parallel()
	settings := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.time", Value: "2026-03-01T12:00:00Z"}, {Key: "vcs.modified", Value: "true"}}
	for name, test := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"release":  {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: settings[:2]}, "caib v1.2.3 (0123abcd, 2026-03-01T12:00:00Z) go linux/arm64"},
		"modified": {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings}, "caib devel (0123abcd, 2026-03-01T12:00:00Z, modified) go linux/arm64"},
		"no git":   {debug.BuildInfo{}, "caib devel go linux/arm64"},
	} {
		b := build{Version: "devel", Go: "go", Platform: "linux/arm64"}
		if b.read(&test.info); b.String() != test.want {
			t.Errorf("%s: %q, want %q", name, b, test.want)
		}
	}
}

// What the linker was told is what is said. No other test may run meanwhile.
func TestVersionIsLinked(t *testing.T) {
	linked = "v1.2.3,0123abcd,2026-03-01T12:00:00Z"
	t.Cleanup(func() { linked = "" })
	got := version()
	want := build{Version: "v1.2.3", Revision: "0123abcd", Date: "2026-03-01T12:00:00Z", Go: got.Go, Platform: got.Platform}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
