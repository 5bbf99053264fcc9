package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

// keepParallel bounds the manifests that one publication keeps at once.
const keepParallel = 8

// startKeeping begins to put the manifests of the entry under tags of the catalog's,
// so that no clean-up collects them when the image's own tag has moved on (SPEC
// section 12). The function that it returns waits for the end, and sets the outcome.
// again is for what was published before: only tags that are missing are put.
func (p *publication) startKeeping(ctx context.Context, again bool) (wait func()) {
	if p.options.NoKeep {
		return func() {}
	}
	keepers := p.keepers()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var group errgroup.Group
		group.SetLimit(keepParallel)
		for _, k := range keepers {
			group.Go(func() error {
				k.run(ctx, again)
				return nil
			})
		}
		_ = group.Wait()
	}()
	return func() {
		<-ended
		p.result.Keep = p.kept(keepers)
	}
}

// keeper keeps one manifest.
type keeper struct {
	repository registry.Repository
	descriptor ocispec.Descriptor
	content    []byte // nil where nobody has read it yet
	tag        string

	named digest.Digest // what the tag named instead; "" for nothing
	step  Step
}

// keepers returns one keeper for each manifest of the entry: the image's own, those
// below it, and those of the artifacts, which may be in another repository.
func (p *publication) keepers() []*keeper {
	type place struct {
		repository string
		digest     digest.Digest
	}
	var all []*keeper
	seen := map[place]*keeper{}
	add := func(at registry.Reference, k *keeper) {
		place := place{at.Base(), k.descriptor.Digest}
		if seen[place] == nil {
			k.tag = referrertag.Keep(p.catalog.normal, k.descriptor.Digest)
			all, seen[place] = append(all, k), k
		}
	}
	for _, m := range p.image.Manifests {
		add(p.ref, &keeper{repository: p.repository, descriptor: m.Descriptor, content: m.Content})
	}
	for _, a := range p.document.Artifacts {
		ref, err := registry.ParseReference(a.Reference)
		if err != nil || ref.Digest == "" {
			continue // an artifact that nobody pinned has no manifest of its own
		}
		k := &keeper{descriptor: ocispec.Descriptor{Digest: ref.Digest}}
		switch {
		case ref.Base() == p.ref.Base():
			k.repository = p.repository
		case p.disk != nil && ref.Base() == p.disk.ref.Base():
			k.repository = p.disk.repository
		case !isBeside(ref, p.ref): // an earlier entry says so, and anybody may have written that
			p.warn(WarnImage, "%s, a file of the entry before, is not kept: it is not in the registry of the image", ref)
			continue
		default:
			if k.repository, err = p.catalog.opener.openAgain(ref); err != nil {
				k.step = stepOf(Kept, err)
			}
		}
		if p.disk != nil {
			for _, m := range p.disk.Manifests {
				if m.Descriptor.Digest == ref.Digest {
					k.descriptor, k.content = m.Descriptor, m.Content
				}
			}
		}
		add(ref, k)
	}
	return all
}

// isBeside reports whether a reference is to the registry, or the layout, of an image.
func isBeside(ref, image registry.Reference) bool {
	ref, image = ref.Normal(), image.Normal()
	return ref.Registry == image.Registry && ref.Layout == image.Layout
}

// run puts the manifest under its tag, unless it is there.
func (k *keeper) run(ctx context.Context, again bool) {
	if k.repository == nil {
		return
	}
	if again && k.isThere(ctx) {
		k.step = Step{Outcome: Skipped}
		return
	}
	err := k.put(ctx)
	switch {
	case err == nil:
	case !again && k.isThere(ctx): // a tag that may not be written twice
		k.step = Step{Outcome: Skipped}
		return
	case errors.Is(err, entry.ErrNotFound):
		k.step = Step{Outcome: Failed, Reason: err.Error()}
		return
	}
	k.step = stepOf(Kept, err)
}

// isThere reports whether the tag is known to name the manifest.
func (k *keeper) isThere(ctx context.Context) bool {
	found, err := k.repository.Resolve(ctx, k.tag)
	if err == nil && found.Digest != k.descriptor.Digest {
		k.named = found.Digest
	}
	return err == nil && k.named == ""
}

func (k *keeper) put(ctx context.Context) (err error) {
	if k.content == nil {
		if k.descriptor, k.content, err = k.repository.Manifest(ctx, k.descriptor.Digest.String()); err != nil {
			return err
		}
	}
	return k.repository.PushManifest(ctx, k.descriptor, k.content, k.tag)
}

// kept is the outcome for all manifests together: that of the first that could not be
// kept, else whether anything was written.
func (p *publication) kept(keepers []*keeper) *Step {
	result, failed := Step{Outcome: Skipped}, 0
	for _, k := range keepers {
		if k.named != "" {
			p.warn(WarnLog, "tag %s, which keeps %s, named %s: somebody moved it", k.tag, k.descriptor.Digest, k.named)
		}
		switch k.step.Outcome {
		case Skipped:
		case Kept:
			if failed == 0 {
				result.Outcome = Kept
			}
		default:
			if failed++; failed == 1 {
				result = k.step
			}
		}
	}
	if failed > 0 && len(keepers) > 1 {
		result.Reason = fmt.Sprintf("%d of %d manifests: %s", failed, len(keepers), result.Reason)
	}
	return &result
}
