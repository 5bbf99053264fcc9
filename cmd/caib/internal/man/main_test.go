package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/cmd/caib/internal/cli"
)

// pages writes the pages and returns them by their names.
func pages(t *testing.T) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "man")
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[file.Name()] = string(text)
	}
	return all
}

func TestEveryCommandAndTopicHasAPage(t *testing.T) {
	got := pages(t)
	var visit func(*cobra.Command)
	visit = func(command *cobra.Command) {
		section, parts := ".1", []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLE"}
		if len(command.Commands()) > 0 { // a group: nothing but its commands returns a status
			parts = []string{"NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"}
		}
		if command.IsAdditionalHelpTopicCommand() {
			section, parts = ".7", []string{"NAME", "DESCRIPTION", "SEE ALSO"}
		}
		name := strings.ReplaceAll(command.CommandPath(), " ", "-") + section
		page, ok := got[name]
		if !ok {
			t.Errorf("there is no page %s", name)
		}
		for _, part := range parts {
			if !regexp.MustCompile(`(?m)^\.SH "?` + part + `"?$`).MatchString(page) {
				t.Errorf("%s has no section %s", name, part)
			}
		}
		delete(got, name)
		for _, child := range command.Commands() {
			if !child.Hidden {
				visit(child)
			}
		}
	}
	visit(cli.Command())
	for name := range got {
		t.Errorf("%s is the page of nothing", name)
	}
}

func TestPagesAreTheSameEachTime(t *testing.T) {
	first := pages(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TZ", "Pacific/Auckland")
	if diff := cmp.Diff(first, pages(t)); diff != "" {
		t.Errorf("(-first +second)\n%s", diff)
	}
	for name, page := range first {
		if strings.Contains(page, "Auto generated") {
			t.Errorf("%s says what made it", name)
		}
	}
}

func TestMarkdown(t *testing.T) {
	const text = "Words, *stars* and <brackets>:\n\n    $ caib a\n\n    $ caib b\n\nMORE WORDS\n\nThe end:\n  1  one\nand on."
	const want = "Words, \\*stars\\* and \\<brackets\\>:\n\n```\n    $ caib a\n\n    $ caib b\n```\n\n# MORE WORDS\n\nThe end:\n\n```\n  1  one\n```\n\nand on.\n"
	if diff := cmp.Diff(want, markdown(text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What makes the pages is not part of the command.
func TestCommandLinksNoMarkdown(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/oci-catalog/caib/cmd/caib")
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, linked := range strings.Fields(string(out)) {
		if strings.Contains(linked, "md2man") || strings.Contains(linked, "blackfriday") || linked == "github.com/spf13/cobra/doc" {
			t.Errorf("caib links %s", linked)
		}
	}
}
