package cli

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// topicHelp is what `caib help TOPIC` prints.
func topicHelp(t *testing.T, name string) string {
	t.Helper()
	code, stdout, stderr := run(t, nil, "help", name)
	if code != exitOK || stderr != "" {
		t.Fatalf("caib help %s: exit code %d: %s", name, code, stderr)
	}
	return stdout
}

func TestTopics(t *testing.T) {
	files, err := os.ReadDir("topics")
	if err != nil {
		t.Fatal(err)
	}
	var stored []string
	for _, file := range files {
		stored = append(stored, strings.TrimSuffix(file.Name(), ".txt"))
	}
	if diff := gocmp.Diff(slices.Sorted(slices.Values(topicNames)), stored); diff != "" {
		t.Errorf("topics (-named +stored)\n%s", diff)
	}
	_, overview, _ := run(t, nil, "help")
	for _, name := range topicNames {
		text := topicHelp(t, name)
		if _, short, _ := run(t, nil, name); short != text {
			t.Errorf("caib %s prints %s, want what caib help %[1]s prints", name, quoted(short))
		}
		if !regexp.MustCompile(`(?m)^  ` + name + ` +\S`).MatchString(overview) {
			t.Errorf("caib help does not list the topic %s", name)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			long := utf8.RuneCountInString(line) > textWidth && !strings.HasPrefix(line, "    ") // what is to be copied is not broken
			if long || strings.ContainsAny(line, "\t{}") && strings.Contains(line, "{{") || strings.TrimRight(line, " ") != line {
				t.Errorf("%s: too long, or not as it should be printed: %q", name, line)
			}
		}
	}
	for line := range strings.Lines(overview) {
		if utf8.RuneCountInString(line) > textWidth+1 {
			t.Errorf("caib help: longer than a terminal: %q", line)
		}
	}
}

// What commands say of themselves fits a terminal; examples, which are to be
// copied, need not.
func TestHelpFitsATerminal(t *testing.T) {
	walk(tree(), func(command *cobra.Command) {
		for line := range strings.Lines(command.Long) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > textWidth && command.Parent().Name() != "completion" { // cobra wrote those
				t.Errorf("%s: longer than a terminal: %q", command.CommandPath(), line)
			}
		}
	})
}

// spaced is a text with one space between its words.
func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestExitCodesTopicIsComplete(t *testing.T) {
	text := spaced(topicHelp(t, "exit-codes"))
	for code, meaning := range contractExits {
		if row := strconv.Itoa(code) + " " + meaning; !strings.Contains(text, row) {
			t.Errorf("it lacks %q", row)
		}
	}
}

func TestSettingsTopicIsComplete(t *testing.T) {
	text := spaced(topicHelp(t, "settings"))
	for _, source := range allSettings {
		row := spaced(source.flag + " " + cmp.Or(source.env, "-") + " " + strings.ReplaceAll(source.otherwise, "`", ""))
		if !strings.Contains(text, row) {
			t.Errorf("it lacks %q", row)
		}
	}
}

// The patterns that retention rules are told to leave alone match what caib stores,
// and nothing else.
func TestRetentionPatterns(t *testing.T) {
	text := topicHelp(t, "registries")
	// What is exempt is matched by patterns as they are shown, or by what follows
	// the look-ahead of those that match all else.
	kept := regexp.MustCompile(`(?m)^ +(\(caib.*\{16\})$`).FindAllStringSubmatch(text, -1)
	others := regexp.MustCompile(`(?m)^ +\^\(\?!(.*\{16\}\$)\)\.\*\$$`).FindAllStringSubmatch(text, -1)
	if len(kept) != 3 || len(others) != 2 {
		t.Fatalf("%d and %d patterns found, want 3 and 2: %q %q", len(kept), len(others), kept, others)
	}
	var patterns []*regexp.Regexp
	for _, found := range kept {
		patterns = append(patterns, regexp.MustCompile("^(?:"+found[1]+")$"))
	}
	for _, found := range others {
		patterns = append(patterns, regexp.MustCompile("^(?:"+found[1]+")"))
	}
	for _, pattern := range patterns {
		for tag, want := range map[string]bool{
			"autosd.0mm7p6yxl.p054dfb79601da123":             true,
			"a.b-c.0mm7p88yo.rcaa0f7b72a001ea0":              true,
			"_snapshot.0mm7p88yo.s70b085805e16a0f7":          true,
			"_status.0mm7p88yo.s70b085805e16a0f7":            true,
			"caib.054dfb79601da123054dfb79601da123.70b08580": true,
			"_locations.0mm7p88yo.l70b085805e16a0f7":         true,
			"caib":                                           false,
			"latest":                                         false,
			"sha256-054dfb79601da123054dfb79601da123":        false,
		} {
			if got := pattern.MatchString(tag); got != want {
				t.Errorf("%s matches %s: %v, want %v", pattern, tag, got, want)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct{ text, indent, want string }{
		{"", "  ", ""},
		{"one two", "  ", "one two"},
		{strings.Repeat("word ", 16), "", strings.TrimSpace(strings.Repeat("word ", 16))},
		{strings.Repeat("word ", 16), "  ", strings.TrimSpace(strings.Repeat("word ", 15)) + "\n  word"},
		{strings.Repeat("x", 99) + " y", "  ", strings.Repeat("x", 99) + "\n  y"},
	} {
		if got := wrap(c.text, c.indent); got != c.want {
			t.Errorf("wrap(%q, %q) = %q, want %q", c.text, c.indent, got, c.want)
		}
	}
}

// cmdShown is `shown DOCUMENT [FROM=TO]...`: run every command that the document
// shows, in its order, each as a process of its own that must succeed. FROM in a
// command is replaced by TO; a command that holds a FROM without a TO is left
// out.
func cmdShown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: shown DOCUMENT [FROM=TO]...")
	}
	for _, words := range shownCommands(document(ts, args[0])) {
		skip := false
		for _, change := range args[1:] {
			from, to, _ := strings.Cut(change, "=")
			skip = skip || to == "" && strings.Contains(strings.Join(words, " "), from)
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], from, to)
			}
		}
		if !skip {
			ts.Logf("shown: caib %s", strings.Join(words, " "))
			ts.Check(ts.Exec("caib-process", words...))
		}
	}
}

// cmdBlock is `block DOCUMENT LINE FILE`: write the indented or fenced block of
// the document that holds the line to a file.
func cmdBlock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: block DOCUMENT LINE FILE")
	}
	var block []string
	found := false
	for _, line := range append(strings.Split(document(ts, args[0]), "\n"), "") {
		text, indented := strings.CutPrefix(line, "    ")
		if strings.HasSuffix(args[0], ".md") {
			text, indented = line, line != "" && !strings.HasPrefix(line, "```")
		}
		switch {
		case indented:
			block = append(block, text)
			found = found || text == args[1]
		case found:
			ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Join(block, "\n")+"\n"), 0o666))
			return
		default:
			block = nil
		}
	}
	ts.Fatalf("%s has no block with the line %q", args[0], args[1])
}
