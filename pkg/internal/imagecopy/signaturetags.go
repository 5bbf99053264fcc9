package imagecopy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

// source is what is known of a repository that is copied from: its signature tags, by
// what they begin with. They are listed once: asking for each would be three requests a
// manifest.
type source struct {
	mu   sync.Mutex // held while they are listed
	tags map[string][]*signatureTag
	err  error
}

// signatureTag is a signature tag of the source. Each place may have another one of that
// name.
type signatureTag struct {
	name string
	at   []registry.Repository
}

// signatureTags are the signature tags of a digest.
func (r *run) signatureTags(ctx context.Context, d digest.Digest) []*signatureTag {
	known := &source{}
	if before, ok, _ := r.sources.PeekOrAdd(r.from, known); ok {
		r.sources.Get(r.from) // it is used
		known = before
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.tags == nil {
		if known.tags, known.err = r.listSignatureTags(ctx); ctx.Err() != nil {
			known.tags = nil // it may not be all
		}
	}
	if known.err != nil && ctx.Err() == nil && r.visit("tags") {
		r.warn("the tags of the source are not known, and none of the form %s.sig, .att or .sbom is copied: %v", referrertag.Index(d), known.err)
	}
	return known.tags[referrertag.Index(d)]
}

func (r *run) listSignatureTags(ctx context.Context) (map[string][]*signatureTag, error) {
	tags, byName := map[string][]*signatureTag{}, map[string]*signatureTag{}
	err := r.everywhere(ctx, func(at registry.Repository) error {
		all, err := at.Tags(ctx)
		for _, name := range all {
			beginning, kind, _ := strings.Cut(name, ".")
			if kind != "sig" && kind != "att" && kind != "sbom" {
				continue
			}
			tag := byName[name]
			if tag == nil {
				tag = &signatureTag{name: strings.Clone(name)}
				byName[tag.name] = tag
				tags[strings.Clone(beginning)] = append(tags[beginning], tag)
			}
			tag.at = append(tag.at, at)
		}
		return err
	})
	return tags, err
}

// signatures copies what a signature tag names, and what belongs to that. Others may have
// added to the tag at the destination: it never loses what it has.
func (r *run) signatures(ctx context.Context, tag *signatureTag, level int) error {
	for _, at := range tag.at {
		found, err := at.Resolve(ctx, tag.name)
		if err == nil {
			err = r.signature(ctx, tag.name, found.Digest, level)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// signature copies the manifest that a signature tag names at a place.
func (r *run) signature(ctx context.Context, tag string, d digest.Digest, level int) error {
	t, err := r.read(ctx, d, nil)
	if err != nil {
		return err
	}
	due, err := r.isDue(ctx, tag, t.root)
	if err != nil {
		return err
	}
	var attached attachments
	if level < maxLevel && !t.root.isLast() {
		attached = r.attachments(ctx, t.root.descriptor)
	}
	if due {
		if err := r.belowArtifact(ctx, t); err != nil {
			return err
		}
		if err := r.to.PushManifest(ctx, t.root.descriptor, t.root.content, tag); err != nil {
			return err
		}
		r.count(func(result *Result) { result.Referrers++ })
	}
	return r.copyAttachments(ctx, t.root.descriptor, attached, level+1, !due)
}

// isDue reports whether a signature tag of the destination is to name a manifest. It is
// not where it names one that has as much or more.
func (r *run) isDue(ctx context.Context, tag string, root *node) (bool, error) {
	descriptor, there, err := r.to.Manifest(ctx, tag)
	switch {
	case errors.Is(err, entry.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	case descriptor.Digest == root.descriptor.Digest:
		return false, nil
	}
	ours, theirs := layersOf(root.content), layersOf(there)
	switch {
	case isWithin(theirs, ours):
		return true, nil
	case !isWithin(ours, theirs):
		r.warn("tag %s is not copied: at the destination it has what the source has not, and the other way round", tag)
	}
	return false, nil
}

// layersOf are the layers of a manifest, whole: of a signature, it is an annotation that
// differs.
func layersOf(manifest []byte) map[string]bool {
	var said struct {
		Layers []any `json:"layers"`
	}
	_ = json.Unmarshal(manifest, &said) // what cannot be read has none
	layers := map[string]bool{}
	for _, layer := range said.Layers {
		text, err := json.Marshal(layer)
		layers[fmt.Sprint(string(text), err)] = true
	}
	return layers
}

func isWithin(some, all map[string]bool) bool {
	for layer := range some {
		if !all[layer] {
			return false
		}
	}
	return true
}
