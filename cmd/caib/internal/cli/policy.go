package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

func newPolicy(a *app) *cobra.Command {
	command := &cobra.Command{
		Use:     "policy",
		Short:   "Look at the trust policy",
		Long:    "A trust policy says who must have signed which entries (--policy, CAIB_POLICY or\na config file).",
		Example: `  caib catalog policy test autosd`,
		Args:    noSuchCommand,
		RunE:    showHelp,
	}
	command.AddCommand(newPolicyTest(a))
	return command
}

type policyTestOptions struct {
	*app
	trustFlags
}

func newPolicyTest(a *app) *cobra.Command {
	o := &policyTestOptions{app: a}
	command := &cobra.Command{
		Use:   "test NAME",
		Short: "Explain which rule applies to an entry, and its verdict",
		Long: `Say which rule of the trust policy applies to an entry and why, what that rule
demands, and what the verdict on the entry is. The exit status is that which
a reading command would have.`,
		Example: `  caib catalog policy test autosd --policy policy.yaml
  caib catalog policy test autosd -o json`,
		Args:              arguments("NAME"),
		ValidArgsFunction: a.completeNames,
	}
	o.trustFlags.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

// explanation is what a policy makes of an entry, and why.
type explanation struct {
	Name    string          `json:"name"`
	Catalog string          `json:"catalog"`
	Lines   []string        `json:"explanation"` // which rule applies, and what it requires
	Verdict entry.Verdict   `json:"verdict,omitempty"`
	Checks  []catalog.Check `json:"checks,omitempty"`
}

func (o *policyTestOptions) run(ctx context.Context, args []string) error {
	name := args[0]
	policy, err := o.policy(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	if policy == nil {
		return withHint(fmt.Errorf("%w: there is no policy to test", entry.ErrInvalid), "give --policy FILE")
	}
	catalogs, err := o.openWith(policy)
	if err != nil {
		return err
	}
	found, err := first(catalogs, func(c *catalog.Catalog) (explanation, error) {
		found, err := c.Explain(ctx, name)
		x := explanation{Name: name, Catalog: c.Reference(), Verdict: found.Verdict, Checks: found.Checks}
		if entry.CheckName(name) == nil {
			x.Lines = policy.Explain(c.Reference(), name)
		}
		return x, err
	})
	if found.Lines == nil {
		return namesHint(err)
	}
	if o.settings.output == "json" || o.settings.output == "yaml" {
		return errors.Join(err, o.document(o.settings.output, found))
	}
	for _, line := range found.Lines {
		fmt.Fprintln(o.system.Out, line)
	}
	for _, check := range found.Checks {
		fmt.Fprintln(o.system.Out, checkLine(check))
	}
	if found.Verdict != "" {
		fmt.Fprintf(o.system.Out, "verdict: %s\n", found.Verdict)
	}
	return err
}
