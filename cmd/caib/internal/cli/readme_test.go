package cli

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every command line in README parses: the verb exists, and so does each flag
// with the value it is given.
func TestReadmeCommandsParse(t *testing.T) {
	word := regexp.MustCompile(`"[^"]*"|\S+`)
	found := 0
	for line := range strings.Lines(readme(t)) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "$ caib ")
		if !ok {
			continue
		}
		found++
		text, _, _ = strings.Cut(text, " #") // a comment for people
		args := word.FindAllString(text, -1)
		for i := range args {
			args[i] = strings.Trim(args[i], `"`)
		}
		command, rest, err := newRoot(&app{system: System()}).Find(args)
		if err == nil {
			err = command.ParseFlags(rest)
		}
		if err == nil {
			err = command.ValidateArgs(command.Flags().Args())
		}
		if err != nil {
			t.Errorf("caib %s: %v", text, err)
		}
	}
	if found < 8 {
		t.Errorf("README shows %d commands, want at least 8", found)
	}
}

// README's tables of exit codes and settings are those of the code.
func TestReadmeTablesAreTrue(t *testing.T) {
	text := readme(t)
	var codes []int
	for _, row := range exits {
		if slices.Contains(codes, row.code) {
			continue
		}
		codes = append(codes, row.code)
		if line := fmt.Sprintf("| %d | %s |\n", row.code, row.meaning); !strings.Contains(text, line) {
			t.Errorf("README lacks the exit code %s", line)
		}
	}
	for _, source := range sources {
		env := source.env
		if env != "" {
			env = "`" + env + "`"
		}
		if line := strings.ReplaceAll(fmt.Sprintf("| `%s` | %s | %s |\n", source.flag, env, source.otherwise), "|  |", "| |"); !strings.Contains(text, line) {
			t.Errorf("README lacks the setting %s", line)
		}
	}
}

// README's quick start is two targets of the Makefile.
func TestReadmeQuickStartExists(t *testing.T) {
	makefile, err := os.ReadFile("../../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"demo", "test"} {
		if !strings.Contains(readme(t), "\nmake "+target+" ") || !strings.Contains(string(makefile), "\n"+target+":") {
			t.Errorf("make %s is not both in README and in the Makefile", target)
		}
	}
}
