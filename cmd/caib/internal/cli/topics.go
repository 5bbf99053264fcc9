package cli

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// A topic is a text of `caib help` about no single verb. Its first line says
// what it is about. A line of capitals is a heading, an indented line stands as
// it is, and a line in double braces is a table that is made from the code.
//
//go:embed topics/*.txt
var topicTexts embed.FS

// topicNames are the topics in the order in which help lists them.
var topicNames = []string{"settings", "logins", "registries", "builds", "pipelines", "signing", "policies", "servers", "recovery", "exit-codes"}

// textWidth is the width of a terminal that help is written for.
const textWidth = 80

// Command returns the whole command with its help topics, for programs that
// describe it, such as the one that makes the man pages.
func Command() *cobra.Command { return newRoot(&app{system: System()}) }

// newTopics makes a command without a run function of each topic: cobra lists
// these as additional help topics.
func newTopics() []*cobra.Command {
	tables := strings.NewReplacer("{{settings}}\n", settingsTable(), "{{exit codes}}\n", exitTable())
	topics := make([]*cobra.Command, len(topicNames))
	for i, name := range topicNames {
		text, err := topicTexts.ReadFile("topics/" + name + ".txt")
		if err != nil {
			panic(err) // it is embedded
		}
		short, long, _ := strings.Cut(string(text), "\n")
		topics[i] = &cobra.Command{Use: name, Short: short, Long: tables.Replace(strings.TrimSpace(long))}
	}
	return topics
}

// completeTopics makes `caib help` complete topics as well as commands.
func completeTopics(help *cobra.Command) {
	commands := help.ValidArgsFunction
	help.ValidArgsFunction = func(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		found, directive := commands(command, args, typed)
		for _, topic := range command.Root().Commands() {
			if len(args) == 0 && topic.IsAdditionalHelpTopicCommand() && strings.HasPrefix(topic.Name(), typed) {
				found = append(found, topic.Name()+"\t"+topic.Short)
			}
		}
		return found, directive
	}
}

// settingsTable lists every setting with its variable and its default.
func settingsTable() string {
	const flag, env = 28, 20
	var b strings.Builder
	row := func(name, variable, otherwise string) {
		indent := strings.Repeat(" ", 2+flag+env)
		fmt.Fprintf(&b, "  %-*s%-*s%s\n", flag, name, env, variable, wrap(strings.ReplaceAll(otherwise, "`", ""), indent))
	}
	row("FLAG AND KEY", "VARIABLE", "DEFAULT")
	for _, source := range allSettings {
		row(source.flag, cmp.Or(source.env, "-"), source.otherwise)
	}
	return b.String()
}

// exitTable lists exit codes with their meanings; without any, all of them.
func exitTable(codes ...int) string {
	all := slices.Clone(exits)
	slices.SortStableFunc(all, func(a, b exit) int { return cmp.Compare(a.code, b.code) })
	all = slices.CompactFunc(all, func(a, b exit) bool { return a.code == b.code })
	var b strings.Builder
	for _, row := range all {
		if len(codes) == 0 || slices.Contains(codes, row.code) {
			fmt.Fprintf(&b, "  %-4d %s\n", row.code, wrap(row.meaning, "       "))
		}
	}
	return b.String()
}

// wrap breaks a text into lines that fit a terminal, with an indent before
// each but the first, which stands after something as wide.
func wrap(text, indent string) string {
	var b strings.Builder
	column := len(indent)
	for i, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+width > textWidth:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
