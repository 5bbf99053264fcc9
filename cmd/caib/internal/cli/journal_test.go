package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A run that was interrupted is taken up again: what it found in order is not
// looked at a second time, unless the policy is another or nobody asks for it.
func TestVerifyIsResumed(t *testing.T) {
	env, dir := homeEnv(t), t.TempDir()
	var revisions []string
	for _, name := range []string{"a", "b"} {
		image := "oci:" + filepath.Join(dir, name) + ":1"
		if _, err := pushSample("bootc", image, samples.Build{Architectures: []string{"arm64"}, Version: name}); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := run(t, env, "catalog", "publish", image, "-o", "json")
		if code != exitOK {
			t.Fatal(stderr)
		}
		var result catalog.PublishResult
		if err := json.Unmarshal([]byte(stdout), &result); err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, string(result.Item.Revision))
	}
	reference := "oci:" + filepath.Join(env["XDG_DATA_HOME"], "caib", "catalog")
	interrupted := func(done ...string) {
		t.Helper()
		o := &app{system: Streams{Getenv: func(name string) string { return env[name] }}, settings: settings{catalogs: []string{reference}}}
		c, err := catalog.Open(reference, catalog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		j := o.openJournal("verify", "", false)
		for i, name := range done {
			j.add(journalLine{c.Reference(), name, revisions[i]})
		}
	}
	interrupted("a")
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil { // to look again would be noticed
		t.Fatal(err)
	}
	verify := func(want int, says string, args ...string) {
		t.Helper()
		code, stdout, stderr := run(t, env, append([]string{"catalog", "verify", "--all"}, args...)...)
		if code != want || !strings.Contains(stdout, says) {
			t.Errorf("%v: exit code %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
	}
	verify(exitOK, "1 entry: 1 in order", "--resume")
	verify(exitNotFound, "2 entries: 1 failed, 1 in order", "--resume") // that run reached its end
	interrupted("a")
	verify(exitNotFound, "2 entries: ") // not asked for
	interrupted("a", "b")
	if code, stdout, _ := run(t, env, "catalog", "publish", "oci:"+filepath.Join(dir, "b")+":1", "--version", "2"); code != exitOK {
		t.Fatal(stdout)
	}
	verify(exitOK, "1 entry: 1 in order", "--resume") // b has a new state since
}

// The same of signing: what an interrupted run has signed is left out.
func TestSignAllIsResumed(t *testing.T) {
	env, dir := homeEnv(t), t.TempDir()
	key, err := writeKeypair(filepath.Join(dir, "team"))
	if err != nil {
		t.Fatal(err)
	}
	revisions := map[string]string{}
	for _, name := range []string{"a", "b"} {
		image := "oci:" + filepath.Join(dir, name) + ":1"
		if _, err := pushSample("bootc", image, samples.Build{Architectures: []string{"arm64"}, Version: name}); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := run(t, env, "catalog", "publish", image, "-o", "json")
		var result catalog.PublishResult
		if err := json.Unmarshal([]byte(stdout), &result); code != exitOK || err != nil {
			t.Fatal(stderr, err)
		}
		revisions[name] = string(result.Item.Revision)
	}
	signer, err := trust.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	reference := "oci:" + filepath.Join(env["XDG_DATA_HOME"], "caib", "catalog")
	o := &app{system: Streams{Getenv: func(name string) string { return env[name] }}, settings: settings{catalogs: []string{reference}}}
	o.openJournal("sign", signer.String()+" bundle false", false).add(journalLine{reference, "a", revisions["a"]})
	sign := func(says, not string, args ...string) {
		t.Helper()
		code, stdout, stderr := run(t, env, append([]string{"catalog", "sign", "--all", "--sign-key", filepath.Join(dir, "team.key")}, args...)...)
		if text := stderr + stdout; code != exitOK || !strings.Contains(text, says) || strings.Contains(text, not) {
			t.Errorf("%v: exit code %d\n%s, want %q and not %q", args, code, text, says, not)
		}
	}
	sign("1 entry signed by the run before", " a ", "--resume")
	sign("signed a ", "by the run before", "--resume") // that run reached its end
	sign("2 entries: 2 signed before", "by the run before")
}

func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		name     string
		terminal bool
		settings settings
		total    int
		want     bool
	}{
		{"on a terminal", true, settings{}, 20, true},
		{"few things", true, settings{}, progressFrom - 1, false},
		{"elsewhere", false, settings{}, 20, false},
		{"quietly", true, settings{quiet: true}, 20, false},
		{"among requests", true, settings{verbose: true}, 20, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			a := &app{settings: tt.settings, system: Streams{Err: &out, ErrTerminal: tt.terminal, Now: func() time.Time { now = now.Add(time.Second); return now }}}
			bar := a.newProgress(tt.total)
			for range tt.total {
				bar.step()
			}
			drawn := out.String()
			bar.clear()
			if tt.want != (drawn != "") || tt.want != strings.HasSuffix(out.String(), "\r\x1b[K") {
				t.Errorf("%q", out.String())
			}
			if tt.want && (!strings.Contains(drawn, "\r[===============               ] 10/20") || !strings.HasSuffix(drawn, "] 20/20")) {
				t.Errorf("%q", drawn)
			}
		})
	}
}
