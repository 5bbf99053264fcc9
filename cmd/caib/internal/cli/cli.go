// Package cli is the caib command: a rendering of package catalog for people
// and scripts. One file a verb, one table of exit codes (exit.go), one place
// where settings come from (settings.go). What it prints is a contract: tables
// and documents on stdout, everything else on stderr, never a control
// character that came from a registry.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// app is one run of the command: where it talks to, and what it was told.
type app struct {
	system     Streams
	settings   settings
	onWarning  func(text string) // told warnings; nil prints them
	wait       time.Duration     // for images that are not pushed yet: it is added to the time of the verb
	registries *registry.Client  // by client
	started    bool              // a verb began: errors before that are mistakes in the command line
}

// Main runs caib with the given arguments and returns its exit code. It never
// exits the process itself, and reads the environment only through system.
func Main(ctx context.Context, args []string, system Streams) int {
	a := &app{system: system.clean()}
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if unprinted := a.system.printed(); unprinted != nil && (err == nil || !a.started) {
		err = unprinted
	} else if err != nil && !a.started {
		err = usage(err)
		a.settings.output = cmp.Or(a.settings.output, requestedOutput(args, system.Getenv("CAIB_OUTPUT")))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	return a.report(err)
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "caib",
		Short: "A catalog of OS images inside any OCI registry",
		Long: `caib keeps a catalog of OS images inside any OCI registry, or in a directory.
Build teams publish images to it from their pipelines; operations teams find
the right one for a board. The catalog needs no database and no server.`,
		Example: `  caib catalog publish registry.example.com/automotive/autosd:1.4
  caib catalog list --target rpi4`,
		Version:       version().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSuchCommand,
		RunE:          showHelp,
	}
	root.SetIn(a.system.In)
	root.SetOut(a.system.Out)
	root.SetErr(a.system.Err)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		if words := command.Flags().Args(); command.HasSubCommands() && len(words) > 0 {
			return unknownCommand(command, words[0]) // whose flags these may be
		}
		return withHint(err, "`%s --help` lists its flags", command.CommandPath())
	})
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetGlobalNormalizationFunc(formerName)
	a.settings.register(root.PersistentFlags())
	a.completeSettings(root)
	root.AddCommand(newCatalog(a), newConfig(a), newVersion(a))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	describeOwn(root)
	root.AddCommand(newTopics()...)
	root.SetUsageTemplate(strings.NewReplacer(
		".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", textWidth),
		"Additional help topics:", "Help topics, as in `caib help settings`:",
		"rpad .CommandPath .CommandPathPadding", "rpad .Name .NamePadding",
	).Replace(root.UsageTemplate()))
	return root
}

const catalogGroup = "catalog"

func newCatalog(a *app) *cobra.Command {
	command := &cobra.Command{
		Use:   catalogGroup,
		Short: "Publish OS images and find them again",
		Long: `A catalog is one repository of a registry (registry.example.com/team/catalog) or
one directory (oci:PATH). Without --catalog, CAIB_CATALOG or a config file it is
a directory of yours, so that everything works before any registry exists.`,
		Example: `  caib catalog publish registry.example.com/automotive/autosd:1.4 --tags nightly
  caib catalog list --target rpi4 --latest
  caib catalog get autosd`,
		Args: noSuchCommand,
		RunE: showHelp,
	}
	command.AddCommand(
		newList(a), newGet(a), newPull(a), newPublish(a), newAdd(a), newEdit(a), newRemove(a), newHistory(a), newWatch(a), newServe(a),
		newSign(a), newGenerateKeyPair(a), newImportKeyPair(a), newVerify(a), newPolicy(a), newAcceptLoss(a), newRepair(a),
		newCopy(a), newBackup(a), newRestore(a),
		newLoginCheck(a), newMirrors(a), newDoctor(a),
	)
	return command
}

func showHelp(command *cobra.Command, _ []string) error { return command.Help() }

// verb finishes a command of `caib catalog`: it resolves the settings before
// run, bounds it in time, and adds the exit statuses to its help.
func (a *app) verb(command *cobra.Command, codes []int, run func(ctx context.Context, args []string) error) *cobra.Command {
	if command.Name() != serveVerb { // it ends when it is told to
		codes = append(codes, exitTimeout, exitInterrupted)
	}
	command.Long = strings.TrimSpace(command.Long) + "\n\n" + exitStatus(codes...)
	command.RunE = func(command *cobra.Command, args []string) error {
		if err := a.settings.resolve(command.Flags(), a.system); err != nil {
			return err
		}
		if err := a.settings.checkServerSettings(command.Name()); err != nil {
			return err
		}
		a.started = true
		if command.Name() != serveVerb {
			defer a.spin()()
		}
		limit := a.settings.limit(command.Name())
		if limit == 0 {
			return run(command.Context(), args)
		}
		ctx, cancel := context.WithTimeout(command.Context(), limit+a.wait)
		defer cancel()
		return run(ctx, args)
	}
	return command
}

// list is a flag of words, separated by commas or repeated, with the same
// meaning everywhere.
type list struct{ words *[]string }

func (l list) String() string {
	if l.words == nil {
		return ""
	}
	return strings.Join(*l.words, ",")
}

func (l list) Type() string { return "list" }

func (l list) Set(value string) error {
	for _, word := range strings.Split(value, ",") {
		if word = strings.TrimSpace(word); word == "" {
			return errors.New("an empty word")
		}
		*l.words = append(*l.words, word)
	}
	return nil
}

// pairs is a flag of KEY=VALUE, repeated.
type pairs struct{ values *map[string]string }

func (p pairs) String() string { return "" }
func (p pairs) Type() string   { return "KEY=VALUE" }

func (p pairs) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" {
		return errors.New("want KEY=VALUE")
	}
	if *p.values == nil {
		*p.values = map[string]string{}
	}
	if old, taken := (*p.values)[key]; taken && old != value {
		return fmt.Errorf("%s is given twice", key)
	}
	(*p.values)[key] = value
	return nil
}

func listFlag(flags *pflag.FlagSet, words *[]string, name, help string) {
	flags.Var(list{words}, name, help)
}

// requestedOutput finds the output format in a command line that could not be
// parsed whole.
func requestedOutput(args []string, otherwise string) string {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.SetNormalizeFunc(formerName)
	output := flags.StringP("output", "o", otherwise, "")
	_ = flags.Parse(args) // what is wrong with it is known already
	return *output
}

func usage(err error) error {
	if errors.Is(err, entry.ErrInvalid) {
		return err
	}
	return &usageError{err}
}

// usageError is a command line that makes no sense. It is an entry.ErrInvalid.
type usageError struct{ error }

func (e *usageError) Error() string        { return fmt.Sprintf("%v usage: %v", entry.ErrInvalid, e.error) }
func (e *usageError) Unwrap() error        { return e.error }
func (e *usageError) Is(target error) bool { return target == entry.ErrInvalid }
