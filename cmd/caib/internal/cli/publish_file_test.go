package cli

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What a fuzzer made of build files ends with a place in the file, and nothing
// is published.
func TestMalformedBuilds(t *testing.T) {
	corpus, err := os.Open(filepath.Join("..", "..", "..", "..", "pkg", "internal", "imagebuild", "testdata", "malformed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer corpus.Close()
	env := homeEnv(t)
	path := filepath.Join(t.TempDir(), "build.yaml")
	place := regexp.MustCompile(`^error: invalid: \S+build\.yaml:[1-9][0-9]*: .+\n$`)
	tried := 0
	for lines := bufio.NewScanner(corpus); lines.Scan(); tried++ {
		text, err := strconv.Unquote(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := run(t, env, "catalog", "publish", "-f", path)
		if code != exitInvalid || stdout != "" || !place.MatchString(stderr) || steering(stderr) {
			t.Errorf("%.300q: exit code %d, %s%s", text, code, stdout, quoted(stderr))
		}
	}
	if tried < 200 {
		t.Errorf("%d files, want 200", tried)
	}
	if _, err := os.Stat(filepath.Join(env["XDG_DATA_HOME"], "caib")); !os.IsNotExist(err) {
		t.Errorf("a catalog was made: %v", err)
	}
}

// A failure of one build alone is told once.
func TestOneBuildFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build.json")
	text := `{"apiVersion":"automotive.sdv.cloud.redhat.com/v1alpha1","kind":"ImageBuild","metadata":{"name":"a"},"status":{"phase":"Failed"}}`
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, homeEnv(t), "catalog", "publish", "-f", path)
	if code != exitInvalid || stdout != "" || strings.Count(stderr, "error: ") != 1 || !strings.Contains(stderr, `build "a" is Failed`) {
		t.Errorf("exit code %d, %s%s", code, stdout, quoted(stderr))
	}
}
