package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A setting that is secret is masked, wherever it comes from, and one that is
// not set is not said to be.
func TestSecretSettingsAreMasked(t *testing.T) {
	for i := range allSettings {
		if allSettings[i].flag == "ca-file" {
			allSettings[i].secret = true
			t.Cleanup(func() { allSettings[i].secret = false })
		}
	}
	env := homeEnv(t)
	path := configPath(func(name string) string { return env[name] })
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("ca-file: 5432154321\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "config", "view"); code != exitInvalid || strings.Contains(stderr, "54321") || !strings.Contains(stderr, "config.yaml:1: ca-file: the value: want text") {
		t.Errorf("of a wrong type: exit code %d: %s", code, stderr)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ := run(t, env, "config", "view", "-o", "json"); strings.Contains(stdout, "***") {
		t.Errorf("masked, and not set: %s", stdout)
	}
	for _, output := range []string{"table", "json", "yaml"} {
		env["CAIB_CA_FILE"] = "s3cret"
		code, stdout, stderr := run(t, env, "config", "view", "-o", output)
		if code != 0 || strings.Contains(stdout+stderr, "s3cret") || !strings.Contains(stdout, "***") {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	}
}

func TestMaskProxy(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy.example.com:3128":        "http://proxy.example.com:3128",
		"proxy.example.com:3128":               "proxy.example.com:3128",
		"http://me@proxy.example.com":          "http://me@proxy.example.com",
		"http://me:s3cret@proxy:1/x":           "http://me:***@proxy:1/x",
		"me:s3cret@proxy:1":                    "me:***@proxy:1",
		"http://me:s3@cret@proxy:1":            "http://me:***@proxy:1",
		"http://me:s3/cret@proxy:1":            "***",
		"http://me:s3cret@%zz":                 "***",
		"socks5://me:" + "s3cret" + "@[::1]:1": "socks5://me:***@[::1]:1",
	} {
		if got := maskProxy(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}
