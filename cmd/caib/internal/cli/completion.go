package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// completionTimeout bounds what a press of the tab key may cost.
const completionTimeout = 5 * time.Second

// describeOwn gives cobra's own commands what every verb of ours has:
// a complete help text, and an error for what they do not know.
func describeOwn(root *cobra.Command) {
	for _, command := range root.Commands() {
		switch command.Name() {
		case "help":
			command.Long += "\n\n" + exitStatus()
			command.Example = "  caib help catalog publish\n  caib help policies"
			completeTopics(command)
			command.Run, command.RunE = nil, showHelpOf
			continue
		case "completion":
		default:
			continue
		}
		command.Long += "\n" + exitStatus()
		command.Example = "  source <(caib completion bash)"
		command.RunE = showHelp
		for _, shell := range command.Commands() {
			shell.Long += "\n" + exitStatus()
			shell.Args = arguments()
			shell.Example = "  caib completion " + shell.Name()
		}
	}
}

func showHelpOf(command *cobra.Command, args []string) error {
	found, rest, err := command.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return withHint(fmt.Errorf("unknown command %q", "caib "+strings.Join(args, " ")), "`caib --help` and `caib catalog --help` list the commands")
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}

// completeNames completes the first argument with the names of the catalog.
func (a *app) completeNames(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completions(command, func(item *entry.Item) []string { return []string{item.Name} })
}

// completeFlags completes the flags whose values the catalog holds.
func (a *app) completeFlags(command *cobra.Command) {
	for flag, values := range map[string]func(*entry.Item) []string{
		"distro":       func(item *entry.Item) []string { return []string{item.Distro} },
		"architecture": func(item *entry.Item) []string { return item.Architectures() },
		"tags":         func(item *entry.Item) []string { return item.Tags },
		"target":       func(item *entry.Item) []string { return item.Outline().Targets },
	} {
		_ = command.RegisterFlagCompletionFunc(flag, func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.completions(command, values)
		})
	}
	_ = command.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"created", "name", "size", "version"}, cobra.ShellCompDirectiveNoFileComp))
	_ = command.RegisterFlagCompletionFunc("build-mode", cobra.FixedCompletions([]string{"bootc", "image", "package"}, cobra.ShellCompDirectiveNoFileComp))
}

// completeSettings completes the flags that every verb has.
func (a *app) completeSettings(command *cobra.Command) {
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
	_ = command.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		config, err := readConfig(configPath(a.system.Getenv))
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(config.profiles)), cobra.ShellCompDirectiveNoFileComp
	})
}

// completions collects values from all live entries. A catalog that cannot be
// read completes nothing, and says nothing in the middle of a command line.
func (a *app) completions(command *cobra.Command, values func(*entry.Item) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
	defer cancel()
	if a.settings.resolve(command.Flags(), a.system) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	a.settings.quiet = true
	catalogs, err := a.readers(nil, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	found := map[string]bool{}
	for _, c := range catalogs {
		page, err := c.List(ctx, catalog.ListOptions{})
		if err != nil {
			continue
		}
		for i := range page.Items {
			for _, value := range values(&page.Items[i]) {
				if value != "" {
					found[value] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), cobra.ShellCompDirectiveNoFileComp
}
