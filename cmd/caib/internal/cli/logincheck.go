package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

type loginCheckOptions struct {
	*app
	push bool
}

func newLoginCheck(a *app) *cobra.Command {
	o := &loginCheckOptions{app: a}
	command := &cobra.Command{
		Use:   "login-check REF",
		Short: "Show which login is used for a reference, and what it may do",
		Long: `Show where the login for a repository is stored, and ask its registry whether it
may pull and whether it may push. For pushing, an upload is begun and given up:
nothing is written. It fails if pulling does not work, and with --push if
pushing does not. Where the registry never asks for the login, nothing is known
of it: that is said.

Logins are looked for in docker's configuration with its credential helpers,
then in podman's auth.json, or in the file of --authfile alone; then the
service-account token is taken, for the hosts that the config file names.`,
		Example: `  caib catalog login-check registry.example.com/automotive/catalog
  caib catalog login-check registry.example.com/automotive/catalog --push -o json`,
		Args: arguments("REF"),
	}
	command.Flags().BoolVar(&o.push, "push", false, "fail if the login may not push")
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUnreachable}, o.run)
}

// loginCheck is what `caib catalog login-check` found out.
type loginCheck struct {
	Reference string `json:"reference"`
	User      string `json:"user,omitempty"`
	Source    string `json:"source"` // where the login is stored; never a secret
	Tried     bool   `json:"tried"`  // the login was sent; else Pull and Push are what anybody may do
	Pull      answer `json:"pull"`
	Push      answer `json:"push"`
}

// answer is whether something works, and why not.
type answer struct {
	Status string `json:"status"` // ok, failed or unknown
	Reason string `json:"reason,omitempty"`
}

func (o *loginCheckOptions) run(ctx context.Context, args []string) error {
	ref, err := registry.ParseReference(args[0])
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	access, err := client.Check(ctx, ref)
	if err != nil {
		return err
	}
	check := loginCheck{
		Reference: ref.String(), User: access.User, Source: access.Source,
		Tried: access.Tried, Pull: answerOf(access.Pull), Push: answerOf(access.Push),
	}
	stored := check.Source != ""
	switch {
	case ref.Layout != "":
		check.Source = "no login is needed"
	case !stored:
		check.Source = "anonymous"
	}
	if err := o.print(check); err != nil {
		return err
	}
	if !check.Tried && stored {
		o.note("the login was not tried: the registry did not ask for it")
	}
	switch {
	case access.Pull != nil:
		return access.Pull
	case o.push:
		return access.Push
	case access.Push != nil:
		o.note("pushing does not work: %v", access.Push)
	}
	return nil
}

func answerOf(err error) answer {
	switch {
	case err == nil:
		return answer{Status: "ok"}
	case errors.Is(err, entry.ErrUnreachable), errors.Is(err, entry.ErrTimeout), errors.Is(err, context.Canceled):
		return answer{"unknown", err.Error()}
	}
	return answer{"failed", err.Error()}
}

func (o *loginCheckOptions) print(check loginCheck) error {
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, check)
	case "name":
		_, err := fmt.Fprintln(o.system.Out, check.Source)
		return err
	}
	return o.rows([]string{"REFERENCE", "USER", "SOURCE", "PULL", "PUSH"},
		[][]string{{check.Reference, check.User, check.Source, check.Pull.Status, check.Push.Status}})
}
