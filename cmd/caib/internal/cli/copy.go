package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// copyVerb takes as long as it takes, as pullVerb does.
const copyVerb = "copy"

type copyOptions struct {
	*app
	signing signingFlags
	copy    catalog.CopyOptions
	since   string
}

func newCopy(a *app) *cobra.Command {
	o := &copyOptions{app: a}
	command := &cobra.Command{
		Use:        copyVerb + " SRC DST",
		SuggestFor: []string{"mirror", "sync", "replicate"},
		Short:      "Copy a catalog with its images and signatures to another registry",
		Long: `Copy a catalog, with its history, signatures and images, to another repository
or directory. SRC and DST are REGISTRY/REPOSITORY or oci:PATH. What DST has is
united with what comes: nothing is deleted there, nothing newer is hidden, and
nothing that was removed comes back. The same command again copies what is new,
and goes on where a copy was cut off; at no moment does DST show a state that
SRC never had.

Images are copied by digest, with all platforms, files and what is attached to
them; what is attached to an image after it was copied, with --refresh. They go
to DST's registry, below what DST is in: with mirror.example.org/ex/catalog for
DST, registry.example.com/os/autosd goes to mirror.example.org/ex/os/autosd.
--map says otherwise, and a directory holds them itself. DST says where its
images are, so that get, pull and verify find them without the registry that
they were published from; entries stay as they were signed. For podman and
OpenShift, ` + "`caib catalog mirrors`" + ` prints the same.

The newest revision of a name, and its last removal, are always copied, and so
is every name that DST has, whatever --name, --versions and --since leave out.

Under a trust policy, names whose newest revision its rule for SRC or the one
for DST refuses are kept back whole and named; all others are copied. The images
of older revisions that it refuses are not asked for.

What an entry names that no policy verifies is anybody's word: images on another
registry than SRC's are read without your login, and images in a directory
(oci:PATH) only if that is SRC itself, or below or beside it. --read-from PREFIX
says that images below PREFIX are meant, and so does --map.`,
		Example: `  caib catalog copy registry.example.com/team/catalog mirror.example.org/ex/catalog
  caib catalog copy registry.example.com/team/catalog oci:/media/usb/catalog
  caib catalog copy oci:/media/usb/catalog sealed.example.org/ex/catalog --policy policy.yaml
  caib catalog copy registry.example.com/team/catalog mirror.example.org/catalog --name 'autosd-*' --versions 3
  caib catalog copy registry.example.com/team/catalog mirror.example.org/catalog \
      --map registry.example.com/os=images.example.org/os --sign-key team.key
  caib catalog copy oci:catalog oci:/media/usb/catalog --read-from oci:/srv/images --read-from quay.io/team`,
		Args: arguments("SRC", "DST"),
	}
	o.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *copyOptions) register(flags *pflag.FlagSet) {
	o.registerSelection(flags)
	readFromFlag(flags, &o.copy.ReadFrom)
	flags.BoolVar(&o.copy.Refresh, "refresh", false, "look for what was attached to images of live entries after they had been copied, such as signatures")
	flags.BoolVar(&o.copy.DryRun, "dry-run", false, "say what would be copied, and write nothing; images that are there already count, too")
	o.signing.register(flags, false)
}

func readFromFlag(flags *pflag.FlagSet, prefixes *[]string) {
	flags.StringArrayVar(prefixes, "read-from", nil, "read images below this prefix (HOST, HOST/PATH or oci:PATH) with your login, or from your directories, though no policy verifies their entries; may be repeated")
}

// registerSelection adds the flags that say what is copied.
func (o *copyOptions) registerSelection(flags *pflag.FlagSet) {
	flags.StringVar(&o.copy.Name, "name", "", "only these names: * stands for any characters ('autosd-*')")
	flags.IntVar(&o.copy.Versions, "versions", 0, "at most so many publications of a name, the newest; 0 is all")
	flags.StringVar(&o.since, "since", "", "only what was published then or later: a time, a date, or an age (3d)")
	flags.BoolVar(&o.copy.NoImages, "no-images", false, "the catalog alone")
	flags.Var(mirrorRules{&o.copy.Map}, "map", "FROM=TO: images below FROM go below TO; may be repeated, the longest FROM counts")
}

// mirrorRules is a flag of PREFIX=LOCATION, repeated.
type mirrorRules struct{ rules *[]registry.Mirror }

func (m mirrorRules) String() string { return "" }
func (m mirrorRules) Type() string   { return "FROM=TO" }

func (m mirrorRules) Set(text string) error {
	rule, err := registry.ParseMirror(text)
	*m.rules = append(*m.rules, rule)
	return err
}

func (o *copyOptions) run(ctx context.Context, args []string) error {
	if err := o.prepare(ctx); err != nil {
		return err
	}
	from, err := o.openCopied(ctx, args[0])
	if err != nil {
		return fmt.Errorf("SRC: %w", err)
	}
	to, err := o.openCopied(ctx, args[1])
	if err != nil {
		return fmt.Errorf("DST: %w", err)
	}
	return o.copied(ctx, from, to)
}

// withoutServer refuses what names an index server, which has no part in a copy.
func (o *copyOptions) withoutServer() error {
	if o.settings.server != "" && o.settings.origins["server"].kind == "flag" {
		return fmt.Errorf("%w: --server: a copy is made from registry to registry", entry.ErrInvalid)
	}
	return nil
}

// prepare reads the flags.
func (o *copyOptions) prepare(ctx context.Context) (err error) {
	if err := o.withoutServer(); err != nil {
		return err
	}
	if o.copy.Since, err = o.moment("since", o.since); err != nil {
		return err
	}
	o.copy.Sign, err = o.signing.open(ctx, o.app)
	return err
}

// openCopied opens a catalog under the policy of the settings.
func (o *copyOptions) openCopied(ctx context.Context, reference string) (*catalog.Catalog, error) {
	policy, err := o.configuredPolicy(ctx, false)
	if err != nil {
		return nil, err
	}
	options, err := o.catalogOptions(policy)
	if err != nil {
		return nil, err
	}
	return catalog.Open(reference, options)
}

// copied copies, and tells what was.
func (o *copyOptions) copied(ctx context.Context, from, to *catalog.Catalog) error {
	bar := o.newCopyBar()
	o.copy.Progress = bar.update
	result, err := from.Copy(ctx, to, o.copy)
	bar.clear()
	if printed := o.printCopied(&result, err); printed != nil {
		return errors.Join(err, printed)
	}
	return copyHint(&result, err, "copied")
}

// copyHint says what helps against an error of a copy; done is what was done with the
// other entries.
func copyHint(result *catalog.CopyResult, err error, done string) error {
	unread := func(not catalog.NotCopied) bool { return not.Image != "" && errors.Is(not.Err, entry.ErrUntrusted) }
	switch {
	case errors.Is(err, entry.ErrUntrusted) && len(result.KeptBack) == 0 && slices.ContainsFunc(result.Failed, unread):
		return withHint(err, "all else was %s; where an image is meant to be read, give --read-from PREFIX, or --policy FILE if the entries are signed", done)
	case errors.Is(err, entry.ErrUntrusted):
		return withHint(err, "all others were %s; `caib catalog verify NAME --catalog SRC` says why one is refused", done)
	case errors.Is(err, entry.ErrUnreachable), errors.Is(err, entry.ErrTimeout):
		return withHint(err, "the same command again goes on from here")
	}
	return err
}

func (o *copyOptions) printCopied(result *catalog.CopyResult, failed error) error {
	switch o.settings.output {
	case "json", "yaml":
		return o.document(o.settings.output, result)
	}
	for _, not := range result.KeptBack {
		o.note("kept back: %s: %s", not.Name, not.Reason)
	}
	for _, not := range result.Failed {
		o.note("not copied: %s: %s", not.Name, not.Reason)
	}
	if len(result.Anonymous) > 0 {
		o.note("read without a login, as no policy verifies the entries: %s", strings.Join(result.Anonymous, ", "))
	}
	if failed != nil && result.Names == 0 {
		return nil
	}
	if o.settings.output == "name" {
		_, err := fmt.Fprintln(o.system.Out, result.To)
		return err
	}
	count := func(c catalog.CopyCount) string {
		return strconv.Itoa(c.Copied) + "/" + strconv.Itoa(c.Copied+c.Present)
	}
	header := []string{"TO", "NAMES", "REVISIONS", "SIGNATURES", "IMAGES", "SIZE"}
	row := []string{result.To, strconv.Itoa(result.Names), count(result.Revisions), strconv.Itoa(result.Signatures), count(result.Images), size(result.Bytes)}
	if o.copy.Refresh {
		o.note("%d attachments of images were copied", result.Attachments)
	}
	if result.DryRun {
		o.note("nothing was written: this is what would be copied")
	}
	return o.rows(header, [][]string{row})
}

// copyBar shows how far a copy is: a line on a terminal, one every few seconds
// elsewhere, nothing with --quiet.
type copyBar struct {
	app          *app
	began, shown time.Time
	drawn        bool
}

func (a *app) newCopyBar() *copyBar {
	now := a.system.Now()
	return &copyBar{app: a, began: now, shown: now}
}

func (b *copyBar) update(p catalog.CopyProgress) {
	now := b.app.system.Now()
	terminal, every := b.app.system.ErrTerminal && !b.app.settings.verbose, transferEvery
	if terminal {
		every = progressEvery
	}
	if b.app.settings.quiet || now.Sub(b.shown) < every {
		return
	}
	b.shown = now
	rate := int64(float64(p.Bytes) / max(now.Sub(b.began).Seconds(), 0.001))
	text := fmt.Sprintf("%d of %d names, %s of images, %s/s", p.Names, p.Total, size(p.Bytes), size(rate))
	if !terminal {
		b.app.note("%s", text)
		return
	}
	b.drawn = true
	fmt.Fprintf(raw(b.app.system.Err), "\r\x1b[K%s", text)
}

func (b *copyBar) clear() {
	if b.drawn {
		fmt.Fprint(raw(b.app.system.Err), "\r\x1b[K")
	}
}
