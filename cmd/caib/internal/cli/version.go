package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says which caib this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the sources
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version() build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			b.Revision = setting.Value
		}
	}
	return b
}

// String is the build in one line.
func (b build) String() string {
	revision := ""
	if b.Revision != "" {
		revision = " (" + b.Revision + ")"
	}
	return fmt.Sprintf("caib %s%s %s %s", b.Version, revision, b.Go, b.Platform)
}

func newVersion(a *app) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:     "version",
		Short:   "Show which caib this is",
		Long:    "Show the version of caib, and what it was built with.\n\n" + exitStatus(),
		Example: "  caib version\n  caib version -o json",
		Args:    arguments(),
	}
	command.Flags().VarP(&choice{&output, []string{"table", "json", "yaml"}}, "output", "o", "table, json or yaml")
	command.RunE = func(command *cobra.Command, _ []string) error {
		a.started = true
		return a.showVersion(command.Context(), output)
	}
	return command
}

func (a *app) showVersion(_ context.Context, output string) error {
	b := version()
	if output == "json" || output == "yaml" {
		return a.document(output, b)
	}
	_, err := fmt.Fprintln(a.system.Out, b)
	return err
}
