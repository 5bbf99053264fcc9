package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// What `caib catalog mirrors` prints beside the usual.
const (
	outputIDMS       = "idms"
	outputRegistries = "registries.conf"
)

type mirrorsOptions struct {
	*app
	trustFlags
}

func newMirrors(a *app) *cobra.Command {
	o := &mirrorsOptions{app: a}
	command := &cobra.Command{
		Use:   "mirrors",
		Short: "Print where a catalog says that its images can be had, as mirror settings",
		Long: `Print where a catalog says that its images can be had as well: copies say so.
With -o registries.conf that is a file for podman, skopeo and their kin, below
/etc/containers/registries.conf.d; with -o idms an ImageDigestMirrorSet for
OpenShift. caib itself needs neither.

What is on the catalog's own host or in its own layout counts; elsewhere, what
the mirrors of your settings say too, or what the trust policy verifies. The
rest is left out of the settings, and told. So is what they cannot say: images
in a layout.`,
		Example: `  caib catalog mirrors
  caib catalog mirrors -o registries.conf
  caib catalog mirrors -o idms --policy policy.yaml`,
		Args: arguments(),
	}
	o.trustFlags.register(command.Flags())
	formats := append(slices.Clone(outputs), outputIDMS, outputRegistries)
	command.Flags().VarP(&choice{&a.settings.output, formats}, "output", "o", "table, wide, json, yaml, name, idms or registries.conf; table [CAIB_OUTPUT]")
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitUnreachable}, o.run)
}

func (o *mirrorsOptions) run(ctx context.Context, _ []string) error {
	if o.settings.server != "" {
		return withHint(fmt.Errorf("%w: mirrors are not known to the server %s", entry.ErrInvalid, o.settings.server), "ask the registry itself: give --catalog, and no --server")
	}
	policy, err := o.policy(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	catalogs, err := o.openWith(policy)
	if err != nil {
		return err
	}
	all := []catalog.Location{}
	for _, c := range catalogs {
		found, err := c.Locations(ctx)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, struct {
			Items []catalog.Location `json:"items"`
			Total int                `json:"total"`
		}{all, len(all)})
	case outputIDMS, outputRegistries:
		sources := o.mirrorSources(all)
		if len(sources) == 0 {
			return withHint(fmt.Errorf("%s: %w: it names no mirrors that count", catalogs[0].Reference(), entry.ErrNotFound), "`caib catalog mirrors` shows what it says, and why that does not count; copies of a catalog say where its images are")
		}
		if o.settings.output == outputIDMS {
			return o.document("yaml", mirrorSet(catalogs[0].Reference(), sources))
		}
		_, err := fmt.Fprint(o.system.Out, o.registriesConf(catalogs[0].Reference(), sources))
		return err
	}
	return o.listMirrors(all)
}

func (o *mirrorsOptions) listMirrors(all []catalog.Location) error {
	if len(all) == 0 {
		o.note("the catalog names no mirrors")
		return nil
	}
	rows := make([][]string, len(all))
	for n, one := range all {
		if o.settings.output == "name" {
			fmt.Fprintln(o.system.Out, one.At)
		}
		rows[n] = []string{one.Prefix, one.At, strconv.FormatBool(one.Counts), one.Reason}
	}
	if o.settings.output == "name" {
		return nil
	}
	return o.rows([]string{"PREFIX", "PLACE", "COUNTS", "WHY"}, rows)
}

// mirrorSource is where images are published, and where they can be had as well.
type mirrorSource struct {
	Source  string   `json:"source"`
	Mirrors []string `json:"mirrors"`
}

// plainSource is what both kinds of settings take: HOST[:PORT][/PATH], without the
// address of an IPv6 host.
var plainSource = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]+)?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$`)

// mirrorSources returns what settings can say of the locations that count, and tells
// of the others. Programs that read such settings take the longest prefix alone, so
// that each has what is said of a shorter one, too.
func (o *mirrorsOptions) mirrorSources(all []catalog.Location) (sources []mirrorSource) {
	var usable []catalog.Location
	for _, one := range all {
		switch {
		case !one.Counts:
			o.note("note: left out: %s at %s, %s", one.Prefix, one.At, one.Reason)
		case !plainSource.MatchString(strings.TrimSuffix(one.Prefix, "/")) || !plainSource.MatchString(strings.TrimSuffix(one.At, "/")):
			o.note("note: left out: %s at %s, which these settings cannot say", one.Prefix, one.At)
		default:
			usable = append(usable, one)
		}
	}
	places := map[string][]string{}
	for _, source := range usable {
		if places[source.Prefix] != nil {
			continue
		}
		for _, one := range usable {
			rest, below := strings.CutPrefix(source.Prefix, one.Prefix)
			if at := strings.TrimSuffix(one.At+rest, "/"); below && !slices.Contains(places[source.Prefix], at) {
				places[source.Prefix] = append(places[source.Prefix], at)
			}
		}
		sources = append(sources, mirrorSource{strings.TrimSuffix(source.Prefix, "/"), places[source.Prefix]})
	}
	slices.SortFunc(sources, func(a, b mirrorSource) int { return strings.Compare(a.Source, b.Source) })
	return sources
}

// registriesConf is a file of containers-registries.conf(5).
func (o *mirrorsOptions) registriesConf(reference string, sources []mirrorSource) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Where images of the catalog %s can be had: `caib catalog mirrors -o %s`.\n", reference, outputRegistries)
	for _, one := range sources {
		fmt.Fprintf(&text, "\n[[registry]]\nprefix = %q\nlocation = %q\n", one.Source, one.Source)
		o.writeInsecure(&text, one.Source)
		for _, at := range one.Mirrors {
			fmt.Fprintf(&text, "\n[[registry.mirror]]\nlocation = %q\npull-from-mirror = \"digest-only\"\n", at)
			o.writeInsecure(&text, at)
		}
	}
	return text.String()
}

// writeInsecure says it of a registry that is asked without TLS here.
func (o *mirrorsOptions) writeInsecure(text *strings.Builder, at string) {
	if host, _, _ := strings.Cut(at, "/"); isLoopback(host) || o.settings.plainHTTP || o.settings.insecure {
		fmt.Fprintln(text, "insecure = true")
	}
}

// mirrorSet is an ImageDigestMirrorSet of OpenShift (config.openshift.io/v1).
func mirrorSet(reference string, sources []mirrorSource) any {
	type named struct {
		Name string `json:"name"`
	}
	type spec struct {
		ImageDigestMirrors []mirrorSource `json:"imageDigestMirrors"`
	}
	return struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   named  `json:"metadata"`
		Spec       spec   `json:"spec"`
	}{"config.openshift.io/v1", "ImageDigestMirrorSet", named{resourceName("caib-" + reference)}, spec{sources}}
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// resourceName makes a name that Kubernetes takes of a text.
func resourceName(text string) string {
	name := notInNames.ReplaceAllString(strings.ToLower(text), "-")
	return strings.Trim(name[:min(len(name), 63)], "-")
}
