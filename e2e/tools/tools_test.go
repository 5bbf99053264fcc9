package tools

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Clean()
	os.Exit(code)
}

func TestProgramsAreBuilt(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds two programs")
	}
	version := Run(t, nil, Oras(t), "version")
	if version.Code != 0 || !strings.Contains(version.Stdout, "1.3.") {
		t.Errorf("oras version: %+v", version)
	}
	if help := Run(t, nil, Caib(t), "--help"); help.Code != 0 || help.Stdout == "" {
		t.Errorf("caib --help: %+v", help)
	}
}

func TestRunSeparatesStreamsAndCode(t *testing.T) {
	got := Run(t, []string{"WORD=out"}, "/bin/sh", "-c", `echo "$WORD"; echo err >&2; exit 3`)
	if diff := cmp.Diff(Result{Stdout: "out\n", Stderr: "err\n", Code: 3}, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestEnvIsClean(t *testing.T) {
	t.Setenv("CAIB_CATALOG", "somewhere")
	names := func(env []string) (names []string) {
		for _, pair := range env {
			name, _, _ := strings.Cut(pair, "=")
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	if diff := cmp.Diff([]string{"A", "HOME", "PATH"}, names(Env(t, []string{"A=b"}))); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if env := Env(t, []string{"HOME=/mine"}); !slices.Contains(env, "HOME=/mine") || len(env) != 2 {
		t.Errorf("environment %v", env)
	}
}
