// Command man writes the man pages of caib: caib.1, one page for each command,
// such as caib-catalog-list.1, and one for each help topic, such as
// caib-settings.7. They are made from what --help and `caib help` print, and are
// the same whenever and wherever they are made.
//
//	go run ./cmd/caib/internal/man -dir bin/man
//
// It is a program of its own, so that what it links does not land in caib.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/oci-catalog/caib/cmd/caib/internal/cli"
)

// edition is the date of every page: that of the build would make two builds
// differ.
var edition = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func main() {
	dir := flag.String("dir", "bin/man", "directory to write the pages to")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// write makes the directory if it is not there, and writes every page.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root := cli.Command()
	root.DisableAutoGenTag = true // the pages of its children do as it does
	return writeTree(dir, root)
}

func writeTree(dir string, command *cobra.Command) error {
	for _, child := range command.Commands() {
		if child.IsAvailableCommand() || child.IsAdditionalHelpTopicCommand() || child.Name() == "help" {
			if err := writeTree(dir, child); err != nil {
				return err
			}
		}
	}
	name := strings.ReplaceAll(command.CommandPath(), " ", "-")
	if command.IsAdditionalHelpTopicCommand() {
		return os.WriteFile(filepath.Join(dir, name+".7"), topicPage(name, command), 0o666)
	}
	command.Long = markdown(command.Long)
	command.Example = strings.TrimSpace(regexp.MustCompile(`(?m)^  `).ReplaceAllString(command.Example, ""))
	var page bytes.Buffer
	if err := doc.GenMan(command, &doc.GenManHeader{Section: "1", Date: &edition, Source: "caib", Manual: "caib manual"}, &page); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".1"), page.Bytes(), 0o666)
}

// topicPage is the page of a help topic.
func topicPage(name string, topic *cobra.Command) []byte {
	return md2man.Render(fmt.Appendf(nil, "%% %q \"7\" %q \"caib\" \"caib manual\"\n# NAME\n%s \\- %s\n\n# DESCRIPTION\n%s\n\n# SEE ALSO\n**caib(1)**\n",
		strings.ToUpper(name), edition.Format("Jan 2006"), name, topic.Short, markdown(topic.Long)))
}

var (
	heading = regexp.MustCompile(`^[A-Z][A-Z' ]+$`)
	special = regexp.MustCompile("[\\\\`*_{}\\[\\]<>#|]")
)

// markdown is a help text for md2man: a line of capitals is a heading, an
// indented line is printed as it is, and all else is paragraphs of plain words.
func markdown(text string) string {
	var b strings.Builder
	verbatim, blank := false, 0
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		switch indented := strings.HasPrefix(line, " "); {
		case line == "":
			blank++
			continue
		case indented != verbatim && indented:
			b.WriteString("\n```\n")
			verbatim, blank = true, 0
		case indented != verbatim:
			b.WriteString("```\n\n")
			verbatim, blank = false, 0
		}
		b.WriteString(strings.Repeat("\n", blank))
		blank = 0
		switch {
		case verbatim:
		case heading.MatchString(line), line == "Exit status:":
			line = "# " + strings.ToUpper(strings.TrimSuffix(line, ":"))
		default:
			line = special.ReplaceAllString(line, `\$0`)
		}
		b.WriteString(line + "\n")
	}
	if verbatim {
		b.WriteString("```\n")
	}
	return b.String()
}
