package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// publicationFlags are the flags that publish and add share.
type publicationFlags struct {
	options catalog.PublishOptions
	signing signingFlags
	origin  originFlags
	targets []string
	notes   map[string]string
	digest  string
	set     func(flag string) bool // reports whether the flag was given
}

func (p *publicationFlags) register(flags *pflag.FlagSet) {
	o, m := &p.options, &p.options.Metadata
	p.set = flags.Changed
	flags.StringVar(&o.Version, "version", "", "version of the image")
	flags.StringVar(&o.Description, "description", "", "one line about the image")
	listFlag(flags, &o.Tags, "tags", "words to find the entry by; separated by commas, or repeated")
	flags.Var(pairs{&o.Labels}, "label", "a label of the entry; may be repeated")
	listFlag(flags, &p.targets, "target", "board or machine the image is for: NAME, or NAME:verified; may be repeated")
	flags.Var(pairs{&p.notes}, "target-note", "a note on a target: NAME=TEXT; may be repeated")
	for _, flag := range metadataFlags() {
		if flag.otherwise {
			flag.help += ", where the image does not say"
		}
		flags.StringVar(m.Text(flag.member), flag.name, "", flag.help)
	}
	flags.BoolVar(&m.Bootc, "bootc", false, "the image is a bootc container")
	flags.BoolVar(&o.Override, "override", false, "publish what is typed here where the image says something else")
	flags.StringVar(&p.digest, "digest", "", "refuse the image unless this is its digest")
	flags.BoolVar(&o.Init, "init", false, "begin the catalog where the registry refuses to show what does not exist yet")
	p.origin.register(flags)
	unsignedFlag(flags, &o.Unsigned)
	flags.BoolVar(&o.DryRun, "dry-run", false, "show what would be published, and write nothing")
}

// complete reads the flags that need parsing.
func (p *publicationFlags) complete(a *app) (err error) {
	if p.options.Author, p.options.Build, err = p.origin.resolve(a); err != nil {
		return err
	}
	for _, text := range p.targets {
		name, suffix, marked := strings.Cut(text, ":")
		if name == "" || (marked && suffix != "verified") {
			return fmt.Errorf("%w: --target %q: want NAME or NAME:verified", entry.ErrInvalid, text)
		}
		name, err := targetName("--target", name)
		if err != nil {
			return err
		}
		p.options.Metadata.Targets = append(p.options.Metadata.Targets, entry.Target{Name: name, Verified: marked})
	}
	if err := p.completeNotes(); err != nil {
		return err
	}
	p.options.NotBootc = p.set("bootc") && !p.options.Metadata.Bootc
	if p.digest != "" {
		parsed, err := digest.Parse(p.digest)
		if err != nil {
			return fmt.Errorf("%w: --digest %q: want sha256: and 64 hexadecimal digits", entry.ErrInvalid, p.digest)
		}
		p.options.Digest = parsed
	}
	return nil
}

// completeNotes puts notes on the targets that are typed. The others are for those
// that the image names.
func (p *publicationFlags) completeNotes() error {
	targets := p.options.Metadata.Targets
	for _, text := range slices.Sorted(maps.Keys(p.notes)) {
		name, err := targetName("--target-note", text)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(targets, func(t entry.Target) bool { return t.Name == name })
		if i >= 0 {
			targets[i].Notes = p.notes[text]
			continue
		}
		if p.options.TargetNotes == nil {
			p.options.TargetNotes = map[string]string{}
		}
		p.options.TargetNotes[name] = p.notes[text]
	}
	return nil
}

// targetName reads a target's name from a flag.
func targetName(flag, text string) (string, error) {
	name, err := entry.TargetName(text)
	if err != nil {
		return "", withHint(fmt.Errorf("%s: %w", flag, err), "targets are words such as rpi4 or raspberry-pi: `caib catalog list` shows those there are")
	}
	return name, nil
}

type publishOptions struct {
	*app
	publicationFlags
	file string
}

const publishExample = `  caib catalog publish registry.example.com/automotive/autosd:1.4
  caib catalog publish registry.example.com/automotive/autosd:1.4 --name autosd-rpi4 \
      --version 1.4 --target rpi4:verified --tags nightly,qa
  caib catalog publish registry.example.com/automotive/autosd:1.4 --name autosd --move
  caib catalog publish registry.example.com/automotive/autosd:nightly --inherit
  caib catalog publish registry.example.com/automotive/autosd:1.4 --wait=30m
  caib catalog publish oci:./build/image:latest --dry-run -o yaml
  caib catalog publish registry.example.com/automotive/autosd:1.4 --sign-key team.key --sign-image
  caib catalog publish registry.example.com/automotive/autosd:1.4 --sign-keyless --init
  kubectl get imagebuild nightly -o yaml | caib catalog publish -f -`

const publishLong = `Inspect an image and publish it as an entry of the catalog: a new one, or the
new state of the entry with that name. Architecture, platforms, sizes, distro,
target and files come from the image where it says them; where a flag says
something else, the image's word is published with a warning, unless --override
is given. The entry is also attached to the image, so that whoever has the image
finds it. And the image is kept: its manifests and those of its artifacts get
tags of their own (caib.…), so that they stay when the tag moves on; see "caib
help registries". With --no-attach and --no-keep, nothing is written to the
image's repository. Publishing the same again changes nothing, and puts back an
attachment, a signature or a tag that is gone.

Nothing is published that could not be pulled: every platform and layer is
looked for first, and must have the size that its manifest says. An image that
is published from the same reference under another name already, with the same
digest, is a conflict; --move gives it the new name. Where the tag has moved on
to another image since, both are entries, and a note says so.

Signing is for a key (--sign-key), or in a pipeline for its identity
(--sign-keyless): in GitHub Actions a job with "permissions: id-token: write",
in GitLab one with "id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}". The
identity and the digests of what is signed then stand in public logs for ever.

Under a trust policy that demands signatures, a publication needs one too:
--sign-key or --sign-keyless. --unsigned publishes all the same what readers
will refuse.

Where a registry refuses to show a repository that does not exist yet, --init
begins the catalog, if an upload may begin.

A publication says all there is to say about its entry. What the entry said
before and no longer says is named; --inherit takes over its description, tags,
labels, targets and notes, and "caib catalog edit" changes one thing and leaves
the rest.

With --wait, an image that is not in its registry yet is waited for: 10 minutes,
or as long as --wait=DURATION says, which is added to --timeout. Nothing else is
waited for: a registry that refuses or cannot be asked ends the command at once.
With -f the time is that of all builds together. What is not there by then is
not found (exit 4).

With -f, publish what ImageBuild objects made, as kubectl prints them in YAML or
JSON: one, a List, or several documents. The builds of one schedule are versions
of one entry, and each is published with the digest that it made: where the tag
has moved since, that is a conflict, and --override records it. A build that
cannot be published does not stop the others. "caib help builds" has the rules.`

func newPublish(a *app) *cobra.Command {
	o := &publishOptions{app: a}
	command := &cobra.Command{
		Use:        "publish IMAGE | -f FILE",
		SuggestFor: []string{"push", "upload"},
		Short:      "Publish an image of yours",
		Long:       publishLong,
		Example:    publishExample,
		Args:       imageOr(&o.file),
	}
	flags := command.Flags()
	flags.StringVar(&o.options.Name, "name", "", "name of the entry; the last component of the repository, or with -f of the schedule or build")
	flags.StringVarP(&o.file, "file", "f", "", "publish the ImageBuild objects of this file; - is standard input")
	o.signing.register(flags, true)
	flags.BoolVar(&o.options.Move, "move", false, "end the entry that has this image under another name")
	flags.BoolVar(&o.options.Inherit, "inherit", false, "take over description, tags, labels, targets and notes of the entry as it is; of the same image also what was verified")
	flags.BoolVar(&o.options.NoAttach, "no-attach", false, "do not attach the entry to the image")
	flags.BoolVar(&o.options.NoKeep, "no-keep", false, "put no tags that keep the image from clean-up")
	a.registerWait(flags, "wait for an image that is not pushed yet")
	o.register(flags)
	a.completeFlags(command)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *publishOptions) run(ctx context.Context, args []string) error {
	err := o.complete(o.app)
	if err != nil {
		return err
	}
	o.signing.dry = o.options.DryRun
	if o.options.Sign, err = o.signing.openUnless(ctx, o.options.Unsigned, o.app); err != nil {
		return err
	}
	if o.file != "" {
		return o.publishFile(ctx)
	}
	c, err := o.writer(ctx)
	if err != nil {
		return err
	}
	w := o.newWaiting()
	result, err := c.Publish(ctx, args[0], w.options(o.options))
	w.clear()
	return o.published(result, err)
}

// published prints what became of a publication.
func (a *app) published(result catalog.PublishResult, err error) error {
	a.warnOfPublication(result)
	if err != nil {
		return publishHint(err)
	}
	switch a.settings.output {
	case "json", "yaml":
		return a.document(a.settings.output, result)
	case "name":
		fmt.Fprintln(a.system.Out, result.Item.Name)
	default:
		a.outcome(result)
	}
	return nil
}

// warnOfPublication prints warnings, and what helps against losses.
func (a *app) warnOfPublication(result catalog.PublishResult) {
	a.warnOf(result.Warnings)
	if len(result.Loses) > 0 {
		a.note("hint: `caib catalog edit %s` says it again; publish with --inherit takes it over", result.Item.Name)
	}
}

func (a *app) warnOf(warnings []catalog.Warning) {
	for _, warning := range warnings {
		if warning.Kind == catalog.WarnMoved {
			a.note("note: %v", warning.Err)
			continue
		}
		a.warn(warning.Err.Error())
	}
}

// outcome is one publication for people: a line, then what was done besides.
func (a *app) outcome(result catalog.PublishResult) {
	fmt.Fprintf(a.system.Out, "%s %s %s@%s\n", result.Outcome, result.Item.Name, trimDigest(result.Item.RegistryURL), result.Item.Digest)
	dry := result.Outcome == catalog.Planned
	switch result.Outcome {
	case catalog.Published:
		a.done("revision %s", result.Tag)
	case catalog.Planned:
		a.note("nothing was written (dry run)")
	}
	for _, name := range result.MovedFrom {
		if dry {
			a.note("%s would be removed", name)
		} else {
			a.done("removed %s", name)
		}
	}
	a.signed("entry", result.Signature)
	a.signed("image", result.ImageSignature)
	a.attached("attached to the image", "the entry is published, but not attached to the image", &result.Attachment)
	a.signaturesAttached(result.SignatureAttachment)
	a.kept(result.Keep)
	if result.Snapshot {
		a.done("snapshot written")
	}
}

// attached tells people what became of an attachment; nil was not asked for.
func (a *app) attached(done, not string, attachment *catalog.Step) {
	switch {
	case attachment == nil, attachment.Outcome == catalog.Skipped:
	case attachment.Outcome == catalog.Attached:
		a.done("%s", done)
	default:
		a.warn(fmt.Sprintf("%s: %s: %s", not, attachment.Outcome, attachment.Reason))
	}
}

// kept tells people what became of keeping the image; nil was not asked for.
func (a *app) kept(keep *catalog.Step) {
	switch {
	case keep == nil, keep.Outcome == catalog.Skipped:
	case keep.Outcome == catalog.Kept:
		a.done("image kept")
	default:
		a.warn(fmt.Sprintf("the entry is published, but the image is not kept when its tag moves on: %s: %s", keep.Outcome, keep.Reason))
	}
}

func (a *app) signaturesAttached(attachment *catalog.Step) {
	a.attached("signatures attached to the image", "the entry is signed, but its signatures are not attached to the image", attachment)
}

// trimDigest leaves out a digest that the reference was published with.
func trimDigest(reference string) string {
	base, _, _ := strings.Cut(reference, "@")
	return base
}
