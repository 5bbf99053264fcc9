package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// build says which caib this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // the commit of the sources
	Date     string `json:"date,omitempty"`     // of that commit
	Modified bool   `json:"modified,omitempty"` // the sources differ from it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// linked is what the linker was told of the sources: VERSION,REVISION,DATE. The
// toolchain notes them too, but not in every checkout, and not for a tree that a
// release has prepared.
var linked string

func version() build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.read(info)
	}
	if parts := strings.Split(linked, ","); len(parts) == 3 {
		b.Version, b.Revision, b.Date, b.Modified = parts[0], parts[1], parts[2], false
	}
	return b
}

// read takes what the toolchain has noted: the tag of the commit is the version.
func (b *build) read(info *debug.BuildInfo) {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.time":
			b.Date = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
}

// String is the build in one line.
func (b build) String() string {
	var sources []string
	if b.Revision != "" {
		sources = append(sources, b.Revision)
	}
	if b.Date != "" {
		sources = append(sources, b.Date)
	}
	if b.Modified {
		sources = append(sources, "modified")
	}
	text := "caib " + b.Version
	if len(sources) > 0 {
		text += " (" + strings.Join(sources, ", ") + ")"
	}
	return text + " " + b.Go + " " + b.Platform
}

func newVersion(a *app) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:     "version",
		Short:   "Show which caib this is",
		Long:    "Show the version of caib, the commit that it was built from and when that was\nmade, and with what it was built.\n\n" + exitStatus(),
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
