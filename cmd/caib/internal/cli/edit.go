package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

type editOptions struct {
	*app
	flags   *pflag.FlagSet
	signing signingFlags
	origin  originFlags
	options catalog.EditOptions
	match   string
	texts   []memberFlag
	bootc   bool
	tags    []string
	labels  []string
	targets []string
	notes   []string
}

// memberFlag is a flag that sets a member of the item that is text.
type memberFlag struct {
	name, member string
	value        *string
}

func newEdit(a *app) *cobra.Command {
	o := &editOptions{app: a}
	command := &cobra.Command{
		Use:        "edit NAME",
		SuggestFor: []string{"change", "update", "set", "tag", "label"},
		Short:      "Change what an entry says",
		Long: `Give an entry a new revision of the same image. What is named is changed, the
rest stays as it is; the image's registry is not asked, and nothing is
attached to the image. An empty value clears: --version '', --tags '', --label
'', --target ''.

Tags, labels and targets are changed one by one: --tags +qa,-nightly adds one
tag and removes another, --label team- removes a label, --target rpi4- a
target; --target rpi4:verified says that somebody ran the image there,
rpi4:unverified takes that back.

Of those who edit an entry at the same time, none undoes what another did: all
changes are merged. Where two set one field to different values, the later
revision counts. An entry that gets another image meanwhile is left alone (exit
5).

Under a trust policy that demands signatures, an edit needs one too:
--sign-key or --sign-keyless; --unsigned does without. A signature vouches for
all that the entry says, so the policy must verify it as it is, and not only
warn of it (exit 7): look at it and sign it first, or edit it unsigned.`,
		Example: `  caib catalog edit autosd --tags +qa,-nightly
  caib catalog edit autosd --target rpi4:verified --target-note rpi4=booted
  caib catalog edit autosd --version 1.4.1 --label team=os --label owner-
  caib catalog edit autosd --description '' --dry-run -o yaml`,
		Args:              arguments("NAME"),
		ValidArgsFunction: a.completeNames,
	}
	o.flags = command.Flags()
	o.text("version", "version", "version of the image")
	o.text("description", "description", "one line about the image")
	o.flags.StringArrayVar(&o.tags, "tags", nil, "tags to add and remove: `+WORD,-WORD`; separated by commas, or repeated")
	o.flags.StringArrayVar(&o.labels, "label", nil, "a label to set or to remove: `KEY=VALUE|KEY-`; may be repeated")
	o.flags.StringArrayVar(&o.targets, "target", nil, "a target to add, to mark or to remove: `NAME|NAME:verified|NAME-`; may be repeated")
	o.flags.StringArrayVar(&o.notes, "target-note", nil, "a note on a target: `NAME=TEXT`; may be repeated")
	for _, flag := range metadataFlags() {
		o.text(flag.name, flag.member, flag.help)
	}
	o.flags.BoolVar(&o.bootc, "bootc", false, "the image is a bootc container, or with =false is none")
	o.flags.StringVar(&o.match, "if-revision", "", "refuse the edit unless this revision (its digest) is live")
	o.signing.register(o.flags, false)
	o.origin.register(o.flags)
	unsignedFlag(o.flags, &o.options.Unsigned)
	o.flags.BoolVar(&o.options.DryRun, "dry-run", false, "show what would be published, and write nothing")
	a.completeFlags(command)
	return a.verb(command, []int{exitUnauthorized, exitNotFound, exitConflict, exitUntrusted, exitUnreachable, exitMalformed}, o.run)
}

func (o *editOptions) text(name, member, help string) {
	o.texts = append(o.texts, memberFlag{name, member, o.flags.String(name, "", help)})
}

func (o *editOptions) run(ctx context.Context, args []string) error {
	if err := entry.CheckName(args[0]); err != nil {
		return err
	}
	change, err := o.change()
	if err != nil {
		return err
	}
	if o.options.Match, err = parseMatch(o.match); err != nil {
		return err
	}
	if o.options.Author, _, err = o.origin.resolve(o.app); err != nil {
		return err
	}
	o.signing.dry = o.options.DryRun
	if o.options.Sign, err = o.signing.openUnless(ctx, o.options.Unsigned, o.app); err != nil {
		return err
	}
	c, err := o.writer(ctx)
	if err != nil {
		return err
	}
	result, err := c.Edit(ctx, args[0], change, o.options)
	if err == nil {
		return o.published(result, nil)
	}
	o.warnOf(result.Warnings)
	if errors.Is(err, entry.ErrConflict) {
		return withHint(err, "look at it with `caib catalog get %s`, and edit it again", args[0])
	}
	return namesHint(baseHint(err))
}

// change is what the flags say.
func (o *editOptions) change() (entry.Change, error) {
	change := entry.Change{Set: map[string]string{}}
	for _, flag := range o.texts {
		if o.flags.Changed(flag.name) {
			change.Set[flag.member] = *flag.value
		}
	}
	if o.flags.Changed("bootc") {
		change.Bootc = &o.bootc
	}
	if len(change.Set) == 0 && !slices.ContainsFunc([]string{"bootc", "tags", "label", "target", "target-note"}, o.flags.Changed) {
		return change, withHint(fmt.Errorf("%w: nothing to change is named", entry.ErrInvalid), "`caib catalog edit --help` lists the flags, such as --tags +qa,-nightly")
	}
	for _, parse := range []func(*entry.Change) error{o.tagChanges, o.labelChanges, o.targetChanges, o.noteChanges} {
		if err := parse(&change); err != nil {
			return change, err
		}
	}
	return change, nil
}

func (o *editOptions) tagChanges(change *entry.Change) error {
	for _, text := range o.tags {
		if text == "" {
			change.ClearTags = true
			continue
		}
		for word := range strings.SplitSeq(text, ",") {
			word = strings.TrimSpace(word)
			add, isAdded := strings.CutPrefix(word, "+")
			remove, isRemoved := strings.CutPrefix(word, "-")
			switch {
			case isAdded && add != "":
				change.AddTags = append(change.AddTags, add)
			case isRemoved && remove != "":
				change.RemoveTags = append(change.RemoveTags, remove)
			case word == "" || isAdded || isRemoved:
				return fmt.Errorf("%w: --tags %q: an empty word", entry.ErrInvalid, text)
			default:
				return withHint(fmt.Errorf("%w: --tags %q: want +%[3]s to add it, or -%[3]s to remove it", entry.ErrInvalid, text, word),
					"--tags '' removes all there are: --tags '' --tags +%s leaves this one", word)
			}
		}
	}
	return both("--tags", change.AddTags, change.RemoveTags)
}

func (o *editOptions) labelChanges(change *entry.Change) error {
	change.SetLabels = map[string]string{}
	var set []string
	for _, text := range o.labels {
		if text == "" {
			change.ClearLabels = true
			continue
		}
		key, value, isSet := strings.Cut(text, "=")
		remove, isRemoved := strings.CutSuffix(text, "-")
		switch {
		case isSet && key != "":
			if old, twice := change.SetLabels[key]; twice && old != value {
				return fmt.Errorf("%w: --label: %s is given twice", entry.ErrInvalid, key)
			}
			change.SetLabels[key] = value
			set = append(set, key)
		case !isSet && isRemoved && remove != "":
			change.RemoveLabels = append(change.RemoveLabels, remove)
		default:
			return withHint(fmt.Errorf("%w: --label %q: want KEY=VALUE, or KEY- to remove it", entry.ErrInvalid, text), "--label '' removes all labels")
		}
	}
	return both("--label", set, change.RemoveLabels)
}

func (o *editOptions) targetChanges(change *entry.Change) error {
	var kept, removed []string
	for _, text := range o.targets {
		if text == "" {
			change.ClearTargets = true
			continue
		}
		for word := range strings.SplitSeq(text, ",") {
			word = strings.TrimSpace(word)
			name, suffix, marked := strings.Cut(word, ":")
			base, isRemoved := strings.CutSuffix(word, "-")
			target := entry.TargetChange{Name: name}
			switch {
			case isRemoved && !marked && base != "":
				target = entry.TargetChange{Name: base, Remove: true}
				removed = append(removed, base)
			case name == "" || marked && suffix != "verified" && suffix != "unverified" || isRemoved:
				return fmt.Errorf("%w: --target %q: want NAME, NAME:verified, NAME:unverified, or NAME- to remove it", entry.ErrInvalid, word)
			case marked:
				verified := suffix == "verified"
				target.Verified = &verified
			}
			if !target.Remove {
				kept = append(kept, name)
			}
			change.Targets = append(change.Targets, target)
		}
	}
	return both("--target", kept, removed)
}

// noteChanges puts notes on targets: that they are there is checked by the entry.
func (o *editOptions) noteChanges(change *entry.Change) error {
	for _, text := range o.notes {
		name, note, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("%w: --target-note %q: want NAME=TEXT", entry.ErrInvalid, text)
		}
		change.Targets = append(change.Targets, entry.TargetChange{Name: name, Notes: &note})
	}
	return nil
}

// both refuses what is to be there and to be gone.
func both(flag string, kept, removed []string) error {
	for _, name := range kept {
		if slices.Contains(removed, name) {
			return fmt.Errorf("%w: %s: %s is to be set and to be removed", entry.ErrInvalid, flag, name)
		}
	}
	return nil
}

// parseMatch reads the value of --if-revision; "" is none.
func parseMatch(text string) (digest.Digest, error) {
	if text == "" {
		return "", nil
	}
	match, err := digest.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%w: --if-revision %q: want sha256: and 64 hexadecimal digits", entry.ErrInvalid, text)
	}
	return match, nil
}
