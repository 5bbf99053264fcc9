package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/entry"
)

type historyOptions struct {
	*app
	trustFlags
}

func newHistory(a *app) *cobra.Command {
	o := &historyOptions{app: a}
	command := &cobra.Command{
		Use:   "history [NAME]",
		Short: "Show every revision of an entry, or of all entries",
		Long: `Show every revision, oldest first: when, what, by whom, and its digest. What was
published or removed stays here; nothing overwrites it. Under a trust policy, or
with --verified, SIGNED is the verdict on each revision; none is refused.`,
		Example: `  caib catalog history autosd
  caib catalog history -o json`,
		Args:              arguments("[NAME]"),
		ValidArgsFunction: a.completeNames,
	}
	o.trustFlags.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUnreachable}, o.run)
}

func (o *historyOptions) run(ctx context.Context, args []string) error {
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	catalogs, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	var events []entry.Event
	var failed error
	for _, c := range catalogs {
		found, err := c.History(ctx, name)
		if err != nil {
			failed = errors.Join(failed, err)
		}
		for _, event := range found {
			if len(catalogs) > 1 {
				event.Catalog = c.Reference()
			}
			events = append(events, event)
		}
	}
	if len(events) > 0 && errors.Is(failed, entry.ErrNotFound) && !errors.Is(failed, entry.ErrUnreachable) {
		failed = nil // one of the catalogs has it
	}
	if failed != nil && len(events) == 0 {
		return namesHint(failed)
	}
	slices.SortStableFunc(events, func(a, b entry.Event) int { return a.At.Compare(b.At.Time) })
	if err := o.print(events); err != nil {
		return err
	}
	return failed
}

func (o *historyOptions) print(events []entry.Event) error {
	switch o.settings.output {
	case "json", "yaml":
		if events == nil {
			events = []entry.Event{}
		}
		return o.document(o.settings.output, struct {
			Items []entry.Event `json:"items"`
			Total int           `json:"total"`
		}{events, len(events)})
	case "name":
		for _, event := range events {
			fmt.Fprintln(o.system.Out, event.Tag)
		}
		return nil
	}
	if len(events) == 0 {
		o.note("the catalog has no history")
		return nil
	}
	header := []string{"WHEN", "WHAT", "NAME", "VERSION", "BY", "SIGNED", "REVISION", "IMAGE"}
	wide := o.settings.output == "wide"
	if wide {
		header = append(header, "DIGEST", "REASON", "TAG", "BUILD")
	}
	several := slices.ContainsFunc(events, func(e entry.Event) bool { return e.Catalog != "" })
	if several {
		header = append(header, "CATALOG")
	}
	rows := make([][]string, len(events))
	for i, e := range events {
		what := e.Operation
		if e.Format != "" {
			what += " (later format)"
		}
		rows[i] = []string{e.At.Format(time.RFC3339), what, e.Name, e.Version, e.By, string(o.signedCell(e.Verdict)), string(e.Revision), e.Image}
		if wide {
			rows[i] = append(rows[i], string(e.ImageDigest), e.Reason, e.Tag, cmp.Or(e.Build.URL, e.Build.System))
		}
		if several {
			rows[i] = append(rows[i], e.Catalog)
		}
	}
	return o.fitted(header, rows)
}
