package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// arguments checks what a command is given besides flags: one argument for each
// name. One in brackets may be missing.
func arguments(names ...string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return excess(command, args[len(names)], names)
		}
		for _, name := range names[len(args):] {
			if !strings.HasPrefix(name, "[") {
				return misuse(command, "%s is missing", name)
			}
		}
		return nil
	}
}

// excess is the error of an argument that a command has no use for.
func excess(command *cobra.Command, arg string, names []string) error {
	if len(names) == 0 {
		return misuse(command, "unexpected argument %q: %s takes none", arg, command.Name())
	}
	return misuse(command, "unexpected argument %q: %s takes %s", arg, command.Name(), strings.Join(names, " "))
}

// namesOr checks the arguments of a command that takes entries by name, or all
// of them by its flag --all.
func namesOr(all *bool) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return misuse(command, "unexpected argument %q: give either NAME... or --all", args[0])
		case !*all && len(args) == 0:
			return misuse(command, "NAME is missing: give either NAME... or --all")
		}
		return nil
	}
}

// imageOr checks the arguments of a command that takes an image, or what its
// flag -f names.
func imageOr(file *string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		for _, arg := range args {
			if err := misplacedWait(command, arg); err != nil {
				return err
			}
		}
		switch {
		case len(args) == 0 && *file == "":
			return misuse(command, "IMAGE is missing: give either an IMAGE or -f FILE")
		case len(args) > 0 && *file != "":
			return misuse(command, "unexpected argument %q: give either an IMAGE or -f FILE", args[0])
		case len(args) > 1:
			return excess(command, args[1], []string{"one IMAGE"})
		}
		return nil
	}
}

// misuse is the error of a command line that a command cannot make sense of,
// with a hint at the command's own help.
func misuse(command *cobra.Command, format string, args ...any) error {
	return withHint(fmt.Errorf(format, args...), "`%s --help` shows what it takes", command.CommandPath())
}

// longestVerb bounds, in bytes, what may be a verb with a slip in it: the time
// to look for one that is alike grows with it.
const longestVerb = 64

// mostSlips bounds the characters that differ in a verb with a slip in it.
const mostSlips = 2

// noSuchCommand refuses what is no subcommand of a group, with a hint at what
// may be meant.
func noSuchCommand(group *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(group, args[0])
}

func unknownCommand(group *cobra.Command, word string) error {
	err := fmt.Errorf("unknown command %q for %q", word, group.CommandPath())
	if len(word) > longestVerb {
		return err
	}
	if hint := misnomer(word); hint != "" {
		return withHint(err, "%s", hint)
	}
	if path := meant(group, word); path != "" {
		return withHint(err, "did you mean `%s`?", path)
	}
	return err
}

// misnomer is the hint for what others call by a name that no command has.
func misnomer(word string) string {
	switch word {
	case "login", "logout":
		return fmt.Sprintf("logins are those of docker and podman: `docker %[1]s HOST` or `podman %[1]s HOST`; `caib catalog login-check REF` shows which one is used", word)
	case "search", "find", "query", "filter":
		return "`caib catalog list` finds entries by --architecture, --distro, --target, --phase, --tags and --label"
	}
	return ""
}

// meant finds the command that a word may stand for, by its path: the one of that
// name anywhere, or one of the group or of the catalog with a slip in it.
func meant(group *cobra.Command, word string) string {
	if same := named(group.Root(), word); same != nil {
		return same.CommandPath()
	}
	catalog, _, _ := group.Root().Find([]string{catalogGroup}) // there is one
	for slips := range mostSlips {
		for _, command := range []*cobra.Command{group, catalog} {
			command.SuggestionsMinimumDistance = slips + 1
			if near := command.SuggestionsFor(word); len(near) > 0 {
				return command.CommandPath() + " " + near[0]
			}
		}
	}
	return ""
}

// named finds a command by its name, at any depth.
func named(group *cobra.Command, word string) *cobra.Command {
	for _, command := range group.Commands() {
		if command.Name() == word || command.HasAlias(word) {
			return command
		}
		if found := named(command, word); found != nil {
			return found
		}
	}
	return nil
}
