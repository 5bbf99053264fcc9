package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Location is where the catalog says that the images below a prefix can be had as
// well (SPEC section 21).
type Location struct {
	Prefix string `json:"prefix"` // HOST/, HOST/PATH/ or oci:PATH/
	At     string `json:"at"`     // what stands in its place; "." is the catalog's own layout
	// Counts reports whether images are looked for there: anybody who can write to the
	// catalog can say so, and who is asked learns who asks.
	Counts bool   `json:"counts"`
	Reason string `json:"reason"` // why it counts, or does not
}

// Why a location counts, or does not.
const (
	onOwnHost        = "on the host of the catalog"
	inOwnLayout      = "in the layout of the catalog"
	noOwnLayout      = "the catalog is not in a layout"
	configuredHere   = "among the mirrors that are configured here"
	signedAsWanted   = "signed as the policy wants it"
	withoutPolicy    = "on another host, and without a policy nobody is believed about that"
	maxCopies        = 8 // places of one image that the catalog names
	ruleWantsNothing = "on another host, and the policy wants no signature of what the catalog says"
)

// Locations returns where the catalog says that images can be had as well, those first
// that count, in the order in which they are asked.
func (c *Catalog) Locations(ctx context.Context) ([]Location, error) {
	view, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	all := c.weighLocations(ctx, view)
	c.warnOf(view.Warnings())
	return all, nil
}

// weighLocations reads the locations of a view and says which of them count.
func (c *Catalog) weighLocations(ctx context.Context, view *ocilog.View) []Location {
	artifacts := view.Locations(ctx)
	reports := make([]string, len(artifacts)) // why others than the own places do not count; "" is that they do
	group := errgroup.Group{}
	group.SetLimit(maxParallel)
	for n := range artifacts {
		if !slices.ContainsFunc(artifacts[n].All, func(l revision.Location) bool { return slices.ContainsFunc(l.At, c.isForeign) }) {
			continue
		}
		group.Go(func() error {
			reports[n] = c.locationsRefused(ctx, artifacts[n])
			return nil
		})
	}
	_ = group.Wait() // never fails: what was found out is in reports
	var ranked [3][]Location
	best := map[[2]string]int{}
	for n, artifact := range artifacts {
		for _, one := range artifact.All {
			for _, at := range one.At {
				made, rank := c.weighLocation(one.Prefix, at, reports[n])
				key := [2]string{one.Prefix, at}
				if before, known := best[key]; known && before <= rank {
					continue
				} else if known { // a stranger said so too
					ranked[before] = slices.DeleteFunc(ranked[before], func(l Location) bool { return l.Prefix == one.Prefix && l.At == at })
				}
				best[key] = rank
				ranked[rank] = append(ranked[rank], made)
			}
		}
	}
	for _, all := range ranked {
		slices.SortStableFunc(all, func(a, b Location) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	}
	return slices.Concat(ranked[:]...)
}

// weighLocation says whether a place counts, and how early it is asked: on the own
// host first, because in a sealed network another one may never answer. refused is why
// the artifact that names it is not believed, "" that it is.
func (c *Catalog) weighLocation(prefix, at, refused string) (made Location, rank int) {
	made = Location{Prefix: prefix, At: at, Counts: true}
	switch {
	case at == revision.OwnLayout && c.reference.Layout != "":
		made.Reason = inOwnLayout
	case at == revision.OwnLayout:
		made.Reason, made.Counts = noOwnLayout, false
		return made, 2
	case !c.isForeign(at):
		made.Reason = onOwnHost
	case c.isConfigured(prefix, at):
		made.Reason = configuredHere
		return made, 1
	case refused == "":
		made.Reason = signedAsWanted
		return made, 1
	default:
		made.Reason, made.Counts = refused, false
		return made, 2
	}
	return made, 0
}

// isForeign reports whether a place is elsewhere than the catalog.
func (c *Catalog) isForeign(at string) bool {
	host, _, _ := strings.Cut(at, "/")
	return at != revision.OwnLayout && (c.reference.Layout != "" || normal.Host(c.reference.Registry) != host)
}

// isConfigured reports whether the reader's own settings name a place.
func (c *Catalog) isConfigured(prefix, at string) bool {
	const some = "x"
	ref, err := registry.ParseReference(prefix + some)
	if err != nil || ref.Layout != "" {
		return false
	}
	places, err := c.opener.client.Places(ref)
	return err == nil && slices.ContainsFunc(places[:len(places)-1], func(r registry.Reference) bool { return r.Normal().Base() == at+some })
}

// locationsRefused says why the policy does not verify a locations artifact: "" is
// that it does. The rule is that of the catalog, for the name of these artifacts; what
// it says of the images, and of where entries were published, is not asked.
func (c *Catalog) locationsRefused(ctx context.Context, artifact ocilog.Locations) string {
	if c.policy() == nil {
		return withoutPolicy
	}
	e := c.newEvaluator(nil, zeroTime)
	rule := e.rule(revision.LocationsName)
	if !slices.Contains(rule.Require, trust.SubjectEntry) {
		return ruleWantsNothing
	}
	check, known := e.verdicts.Recall(rule, trust.SubjectEntry, artifact.Descriptor.Digest)
	if !known || check.Result != entry.VerdictVerified {
		check, _ = e.lookUp(ctx, rule, trust.SubjectEntry, e.repository, artifact.Descriptor.Digest)
		e.verdicts.Remember(rule, check)
		e.verdicts.Save()
	}
	if check.Result != entry.VerdictVerified {
		return fmt.Sprintf("on another host, and %s is %s: %s", artifact.Tag, check.Result, check.Reason)
	}
	return ""
}

// copiesOf returns where the locations of the last reading say that an image can be had
// as well, in the order to ask.
func (c *Catalog) copiesOf(ctx context.Context, ref registry.Reference) []registry.Reference {
	c.mu.Lock()
	view := c.view
	c.mu.Unlock()
	return c.copiesIn(c.locationsOf(ctx, view), ref)
}

// copiesIn returns where locations say that an image can be had, in the order to ask.
func (c *Catalog) copiesIn(locations []Location, ref registry.Reference) (copies []registry.Reference) {
	for _, one := range locations {
		if !one.Counts {
			break
		}
		for _, at := range (revision.Location{Prefix: one.Prefix, At: []string{one.At}}).Places(ref.Normal().Base()) {
			made := registry.Reference{Layout: c.reference.Layout}
			if at != revision.OwnLayout {
				var err error
				if made, err = registry.ParseReference(at); err != nil {
					continue
				}
			}
			if made, err := c.opener.pass(made); err == nil && len(copies) < maxCopies {
				copies = append(copies, made)
			}
		}
	}
	return copies
}

// weighed are the locations of a view under a policy.
type weighed struct {
	view   *ocilog.View
	policy *trust.Policy
	all    []Location
}

// locationsOf returns the locations of a view, and reads them once; nil is no view.
func (c *Catalog) locationsOf(ctx context.Context, view *ocilog.View) []Location {
	if view == nil || !view.HasLocations() {
		return nil
	}
	if known := c.weighed.Load(); known != nil && known.view == view && known.policy == c.policy() {
		return known.all
	}
	made := &weighed{view: view, policy: c.policy(), all: c.weighLocations(ctx, view)}
	c.warnOf(view.Warnings())
	if ctx.Err() == nil {
		c.weighed.Store(made)
	}
	return made.all
}

// mirroredIn returns what opens a repository to read from by digest, wherever its
// content is.
func (c *Catalog) mirroredIn(ctx context.Context) func(registry.Reference) (registry.Repository, error) {
	return func(ref registry.Reference) (registry.Repository, error) {
		return c.opener.openMirrored(ref, c.copiesOf(ctx, ref)...)
	}
}

// writeLocations writes where images can be had as well: nothing, if what stands says
// so already. What stands is what a reader counts, and for who signs, what is signed
// as well: it is said again along with what is new, so that nothing that counts is
// among the older artifacts, which are not read. nil signs nothing.
func (c *Catalog) writeLocations(ctx context.Context, locations []revision.Location, sign *Signing) error {
	view, err := c.refresh(ctx)
	if err != nil {
		return err
	}
	var standing [][]revision.Location
	for _, artifact := range view.Locations(ctx) {
		believed, err := c.believes(ctx, artifact, sign)
		if err != nil {
			return err
		}
		if believed {
			standing = append(standing, artifact.All)
		}
	}
	c.warnOf(view.Warnings())
	if revision.LocationsSay(slices.Concat(standing...), locations) {
		return nil
	}
	var signing func(context.Context, ocispec.Descriptor) error
	if sign != nil {
		signing = func(ctx context.Context, manifest ocispec.Descriptor) error {
			_, err := c.writeSignature(ctx, sign, c.repository, c.Reference(), manifest, nil)
			return err
		}
	}
	_, err = c.log.WriteLocations(ctx, view, revision.MergeLocations(append(standing, locations)...), signing)
	if errors.Is(err, entry.ErrInvalid) { // together they are too many
		_, err = c.log.WriteLocations(ctx, view, locations, signing)
	}
	if err != nil {
		return err
	}
	c.forget()
	return nil
}

// believes reports whether a writer takes a locations artifact for what it would write
// itself: whoever signs nothing, any; whoever signs, what the policy verifies, or
// without one, what the same key has signed; keyless, what names no other host.
func (c *Catalog) believes(ctx context.Context, artifact ocilog.Locations, sign *Signing) (bool, error) {
	switch {
	case sign == nil:
		return true, nil
	case c.policy() != nil:
		return c.locationsRefused(ctx, artifact) == "", nil
	case sign.Signer.Keyless: // its signatures cannot be told from a stranger's: only what counts without them is taken over
		return !slices.ContainsFunc(artifact.All, func(l revision.Location) bool { return slices.ContainsFunc(l.At, c.isForeign) }), nil
	}
	return signature.Signed(ctx, c.repository, artifact.Descriptor.Digest, sign.format(), sign.Signer.PublicKey().Key)
}
