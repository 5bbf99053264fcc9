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
	tags map[string][]string
	err  error
}

// signatureTags are the signature tags of a digest.
func (r *run) signatureTags(ctx context.Context, d digest.Digest) []string {
	known := &source{}
	if before, ok, _ := r.sources.PeekOrAdd(r.from, known); ok {
		r.sources.Get(r.from) // it is used
		known = before
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.tags == nil {
		if known.tags, known.err = listSignatureTags(ctx, r.from); ctx.Err() != nil {
			known.tags = nil // it may not be all
		}
	}
	if known.err != nil && ctx.Err() == nil && r.visit("tags") {
		r.warn("the tags of the source are not known, and none of the form %s.sig, .att or .sbom is copied: %v", referrertag.Index(d), known.err)
	}
	return known.tags[referrertag.Index(d)]
}

func listSignatureTags(ctx context.Context, from registry.Repository) (map[string][]string, error) {
	all, err := from.Tags(ctx)
	tags := map[string][]string{}
	for _, tag := range all {
		beginning, kind, _ := strings.Cut(tag, ".")
		switch kind {
		case "sig", "att", "sbom":
			tags[strings.Clone(beginning)] = append(tags[beginning], strings.Clone(tag))
		}
	}
	return tags, err
}

// signatures copies what a signature tag names, and what belongs to that. Others may have
// added to the tag at the destination: it never loses what it has.
func (r *run) signatures(ctx context.Context, tag string, level int) error {
	found, err := r.from.Resolve(ctx, tag)
	if err != nil {
		return err
	}
	t, err := r.read(ctx, found.Digest, nil)
	if err != nil {
		return err
	}
	due, err := r.isDue(ctx, tag, t.root)
	if err != nil {
		return err
	}
	var attached attachments
	if level < maxLevel {
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
