package imagebuild

import (
	"bufio"
	"errors"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

var placed = regexp.MustCompile(`(^|: )f:[1-9][0-9]*: `)

// malformed reads a corpus of files that a fuzzer found: one a line, as Go
// writes a string.
func malformed(t testing.TB, path string) (texts [][]byte) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, err := strconv.Unquote(lines.Text())
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		texts = append(texts, []byte(text))
	}
	return texts
}

func TestMalformed(t *testing.T) {
	all := malformed(t, "testdata/malformed.txt")
	if len(all) < 200 {
		t.Errorf("%d files, want 200", len(all))
	}
	for _, text := range all {
		if builds, err := Parse(text, "f"); !errors.Is(err, entry.ErrInvalid) || builds != nil || !placed.MatchString(err.Error()) {
			t.Errorf("%.200q: %d builds, %v", text, len(builds), err)
		}
	}
}
