package ocilog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// repository is the model of a registry's repository: what was pushed, and the
// list of all changes to its tags, so that a reader can be shown an older state.
// The schedule changes it, one step at a time.
type repository struct {
	id        string // in normal form
	content   map[digest.Digest][]byte
	changes   []change
	valid     map[revision.Tag]stood // revisions that stood under their own tag once
	signed    map[digest.Digest]bool // manifests that the team signed
	hidden    map[string]bool        // tags that the list leaves out now
	tampered  map[string]bool        // tags that the adversary ever deleted, hid or overwrote
	disturbed map[string]bool        // names that the adversary ever did anything to
	since     map[string]int         // changes before the last time that the adversary was at a tag
	pruned    map[string]bool        // tags that were deleted because something later stands
}

// change sets a tag, or deletes it for an empty digest.
type change struct {
	tag    string
	digest digest.Digest
}

// stood is a revision that stood in the repository.
type stood struct {
	digest digest.Digest
	since  int // changes before the one that first put it there
	by     string
}

func newRepository(id string) *repository {
	return &repository{
		id:      id,
		content: map[digest.Digest][]byte{}, valid: map[revision.Tag]stood{}, signed: map[digest.Digest]bool{},
		hidden: map[string]bool{}, tampered: map[string]bool{}, disturbed: map[string]bool{}, since: map[string]int{}, pruned: map[string]bool{},
	}
}

// at returns the tags after so many changes.
func (r *repository) at(version int) map[string]digest.Digest {
	tags := map[string]digest.Digest{}
	for _, c := range r.changes[:version] {
		if c.digest == "" {
			delete(tags, c.tag)
		} else {
			tags[c.tag] = c.digest
		}
	}
	return tags
}

// get returns what a tag stood for after so many changes, or "".
func (r *repository) get(tag string, version int) digest.Digest {
	for _, c := range slices.Backward(r.changes[:version]) {
		if c.tag == tag {
			return c.digest
		}
	}
	return ""
}

func (r *repository) list(version int) []string {
	listed := slices.Sorted(maps.Keys(r.at(version)))
	return slices.DeleteFunc(listed, func(tag string) bool { return r.hidden[tag] })
}

// put stores a manifest, under a tag unless that is its digest.
func (r *repository) put(by, reference string, sum digest.Digest, manifest []byte) {
	r.content[sum] = manifest
	if reference == sum.String() {
		return
	}
	if tag, ok := revision.ParseTag(reference); ok && tag.Op != revision.OpSnapshot && r.valid[tag].digest == "" {
		if _, err := revision.Unpack(tag, manifest); err == nil {
			r.valid[tag] = stood{sum, len(r.changes), by}
		}
	}
	r.changes = append(r.changes, change{reference, sum})
}

// revisions returns the valid revisions of a name that a policy counts, or all
// for none, in log order.
func (r *repository) revisions(name string, policy bool) (tags []revision.Tag) {
	for tag, is := range r.valid {
		if tag.Name == name && (r.signed[is.digest] || !policy) && tag.Millis < epoch.Add(maxAhead-time.Hour).UnixMilli() {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, revision.Tag.Compare)
	return tags
}

// inPlainSight returns the latest revision of a name that stood before so many
// changes, was not pruned since, and that nobody tampered with: nothing older may be shown for it.
func (r *repository) inPlainSight(name string, version int, policy bool) revision.Tag {
	for _, tag := range slices.Backward(r.revisions(name, policy)) {
		if r.valid[tag].since < version && !r.isDisturbed(tag) {
			return tag
		}
	}
	return revision.Tag{}
}

// isDisturbed reports whether nobody can be expected to see a tag: the adversary was at
// it, or it was pruned while something later stood, which the adversary may have taken
// away since.
func (r *repository) isDisturbed(tag revision.Tag) bool {
	return r.tampered[tag.String()] || r.pruned[tag.String()]
}

// connection is the repository as one actor reaches it: each request waits for
// its turn in the schedule.
type connection struct {
	schedule   *schedule
	actor      *actor
	repository *repository
	copying    *copying // what is written is copied; nil for anything else
}

func missing(reference string) error { return fmt.Errorf("%s: %w", reference, entry.ErrNotFound) }

func (c *connection) Delete(context.Context, string) error { return entry.ErrUnauthorized }

func (c *connection) Tags(ctx context.Context) (tags []string, err error) {
	err = c.schedule.wait(ctx, c.actor, "list", func() error {
		tags = c.repository.list(c.schedule.version(c.repository))
		return nil
	})
	return tags, err
}

func (c *connection) Resolve(ctx context.Context, reference string) (d ocispec.Descriptor, err error) {
	err = c.schedule.wait(ctx, c.actor, "head "+reference, func() error {
		sum := c.repository.get(reference, c.schedule.version(c.repository))
		if sum == "" {
			return missing(reference)
		}
		d = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sum, Size: int64(len(c.repository.content[sum]))}
		return nil
	})
	return d, err
}

func (c *connection) Manifest(ctx context.Context, reference string) (d ocispec.Descriptor, manifest []byte, err error) {
	err = c.schedule.wait(ctx, c.actor, "get "+reference, func() error {
		sum, parsed := digest.Parse(reference)
		if parsed != nil {
			sum = c.repository.get(reference, c.schedule.version(c.repository))
		}
		if manifest = c.repository.content[sum]; manifest == nil {
			return missing(reference)
		}
		d = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sum, Size: int64(len(manifest))}
		return nil
	})
	return d, manifest, err
}

func (c *connection) Blob(ctx context.Context, d ocispec.Descriptor) (blob []byte, err error) {
	err = c.schedule.wait(ctx, c.actor, "blob", func() error {
		if blob = c.repository.content[d.Digest]; blob == nil {
			return missing(d.Digest.String())
		}
		return nil
	})
	return blob, err
}

func (c *connection) PushBlob(ctx context.Context, d ocispec.Descriptor, content []byte) error {
	return c.schedule.wait(ctx, c.actor, "push blob", func() error {
		c.repository.content[d.Digest] = content
		return nil
	})
}

func (c *connection) PushManifest(ctx context.Context, d ocispec.Descriptor, manifest []byte, reference string) error {
	return c.schedule.wait(ctx, c.actor, "push "+reference, func() error {
		by := c.actor.name
		if c.copying != nil {
			by = c.copying.check(c.schedule, reference, d.Digest, by)
		}
		c.repository.put(by, reference, d.Digest, manifest)
		return nil
	})
}
