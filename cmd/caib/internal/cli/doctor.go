package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

const doctorVerb = "doctor"

type doctorOptions struct{ *app }

func newDoctor(a *app) *cobra.Command {
	o := &doctorOptions{app: a}
	command := &cobra.Command{
		Use:   doctorVerb + " REGISTRY/REPOSITORY",
		Short: "Find out how a registry differs from others, and whether a catalog can live there",
		Long: `Write a few small manifests to a repository, read them again, list, attach, and
delete them, with at most 40 requests. The table says what the registry does,
how it differs from what the specification says, and what caib does about it.

The tags that are written begin with caib-doctor-. They mean nothing to a
catalog, so that the repository may be one in use, or a new one. What cannot be
deleted is named. To a directory (oci:PATH) nothing is written.

It succeeds if a catalog can live there. Where it cannot, the message and the
exit status say why.`,
		Example: `  caib catalog doctor registry.example.com/automotive/catalog
  caib catalog doctor registry.example.com/automotive/scratch -o json`,
		Args: arguments("REGISTRY/REPOSITORY"),
	}
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUnreachable, exitMalformed}, o.run)
}

// diagnosis is what `caib catalog doctor` found out.
type diagnosis struct {
	Reference string    `json:"reference"`
	Account   string    `json:"account,omitempty"`
	Suitable  bool      `json:"suitable"` // a catalog can live there
	Requests  int       `json:"requests"`
	Findings  []finding `json:"findings"`
	Left      []string  `json:"left"` // what was written and could not be deleted
}

type finding struct {
	Feature   string `json:"feature"`
	Supported string `json:"supported"` // yes, no or unknown
	Quirk     string `json:"quirk,omitempty"`
	Handling  string `json:"handling,omitempty"`
}

func (o *doctorOptions) run(ctx context.Context, args []string) error {
	if o.settings.server != "" {
		return withHint(fmt.Errorf("%w: doctor does not ask the server %s", entry.ErrInvalid, o.settings.server), "leave --server out: the registry itself is asked")
	}
	ref, err := registry.ParseReference(args[0])
	if err != nil {
		return err
	}
	if ref.Tag != "" || ref.Digest != "" {
		return withHint(fmt.Errorf("%w: reference %q: a repository is diagnosed, not an image in it", entry.ErrInvalid, args[0]), "leave the tag and the digest out: %s", ref.Base())
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	found, unfit := client.Diagnose(ctx, ref)
	if err := o.print(ref, found, unfit == nil); err != nil {
		return err
	}
	if len(found.Left) > 0 {
		o.warn(fmt.Sprintf("%d could not be deleted; a catalog passes them over:", len(found.Left)))
		for _, reference := range found.Left {
			o.note("  %s", reference)
		}
	}
	return unfit
}

func (o *doctorOptions) print(ref registry.Reference, found registry.Diagnosis, suitable bool) error {
	if len(found.Findings) == 0 {
		return nil // nothing could be asked: the error says why
	}
	d := diagnosis{ref.Base(), found.Account, suitable, found.Requests, []finding{}, append([]string{}, found.Left...)}
	var rows [][]string
	for _, f := range found.Findings {
		d.Findings = append(d.Findings, finding{f.Feature, f.Support, f.Quirk, f.Handling})
		rows = append(rows, []string{f.Feature, f.Support, f.Quirk, f.Handling})
	}
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, d)
	case "name":
		for _, f := range d.Findings {
			if f.Quirk != "" {
				if _, err := fmt.Fprintln(o.system.Out, f.Feature); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return o.rows([]string{"FEATURE", "SUPPORTED", "QUIRK", "CAIB"}, rows)
}
