package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// listAttempts bounds how often a referrer is written again because it does
// not show up among its subject's referrers.
const listAttempts = 12

// settle is the least time after which a referrer in a fallback index is
// looked for again.
const settle = 100 * time.Millisecond

// PushReferrer implements Repository. It asks for the referrers first: that
// shows whether the registry has the Referrers API, which no header does
// reliably. Without it, the list is one index that every client reads, changes
// and overwrites (SPEC section 9). A client that read it before our write may
// still overwrite it after our look, so we look once more when such a client
// must be done: after several times as long as our own turn took.
func (r *remoteRepository) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	err := r.pushReferrer(ctx, descriptor, manifest, subject)
	return r.classify(ctx, "attach to "+r.named(subject.Digest.String()), err)
}

func (r *remoteRepository) pushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	list, err := r.listToWriter(ctx, subject)
	if err == nil && lists(list, descriptor) {
		err = r.restore(ctx, descriptor, manifest, list.fallback)
	}
	for attempt := 0; err == nil && !lists(list, descriptor); attempt++ {
		if attempt == listAttempts {
			return fmt.Errorf("%w: written %d times and never listed among the referrers", entry.ErrUnreachable, listAttempts)
		}
		var turn time.Duration
		if list.fallback {
			turn, err = r.pushToFallback(ctx, descriptor, manifest, subject, attempt == 0)
		} else {
			err = r.pushManifest(ctx, descriptor, manifest, descriptor.Digest.String())
		}
		if err != nil {
			return err
		}
		list, err = r.listToWriter(ctx, subject)
		switch {
		case err != nil:
		case !lists(list, descriptor):
			err = pause.For(ctx, jitter(min(settle<<attempt/4, time.Second)))
		case list.fallback:
			if err = pause.For(ctx, max(settle, 4*turn)+jitter(settle)); err == nil {
				list, err = r.listToWriter(ctx, subject)
			}
		}
	}
	return err
}

// restore writes a referrer again that is listed and not there: lists outlive what
// they list.
func (r *remoteRepository) restore(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, fallback bool) error {
	there, err := r.existing(ctx, []ocispec.Descriptor{descriptor})
	if err != nil || len(there) > 0 {
		return err
	}
	reference := descriptor.Digest.String()
	if fallback {
		reference = r.ownTag(ctx, descriptor.Digest)
	}
	return r.pushManifest(ctx, descriptor, manifest, reference)
}

// lists reports whether a referrer is listed.
func lists(list referrerList, referrer ocispec.Descriptor) bool {
	return slices.ContainsFunc(list.descriptors, func(d ocispec.Descriptor) bool { return d.Digest == referrer.Digest })
}

// listToWriter is listReferrers for somebody who is about to write, and to whom
// a refusal that is about the question, or about a tag that does not exist, says
// enough: that the fallback index is to be written.
func (r *remoteRepository) listToWriter(ctx context.Context, subject ocispec.Descriptor) (referrerList, error) {
	list, err := r.listReferrers(ctx, subject)
	var answer *refusal
	if !errors.As(err, &answer) || !r.isAPI(answer.url) {
		return list, err
	}
	switch {
	case lacksAPI(answer) && list.fallback:
		return list, nil
	case lacksAPI(answer), r.isFallback(answer, subject):
		all, err := r.fallbackToWriter(ctx, subject)
		return referrerList{descriptors: all, fallback: true}, err
	}
	return list, err
}

// isFallback reports whether a refusal is one of the fallback tag.
func (r *remoteRepository) isFallback(answer *refusal, subject ocispec.Descriptor) bool {
	return answer.url.Path == "/v2/"+r.repository+"/manifests/"+referrertag.Index(subject.Digest)
}

// fallbackToWriter reads the fallback index where a registry may answer 403 for
// a tag that does not exist.
func (r *remoteRepository) fallbackToWriter(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	all, err := r.fallbackIndex(ctx, subject)
	if status(err) == http.StatusForbidden && absence.IsAbsentBeside(ctx, r, subject.Digest, referrertag.Index(subject.Digest)) {
		return nil, nil
	}
	return all, err
}

// pushToFallback writes a referrer, and lists it in the fallback index.
// Registries collect what has no tag, whatever an index says: the referrer has
// one of its own. It returns how long it took to change the index.
func (r *remoteRepository) pushToFallback(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor, first bool) (time.Duration, error) {
	if first {
		if err := r.pushManifest(ctx, descriptor, manifest, r.ownTag(ctx, descriptor.Digest)); err != nil {
			return 0, err
		}
	}
	unlock, err := r.indexes.Lock(ctx, subject.Digest.String())
	if err != nil {
		return 0, err
	}
	defer unlock()
	begun := time.Now()
	err = r.addToFallback(ctx, descriptor, manifest, subject)
	return time.Since(begun), err
}

func (r *remoteRepository) addToFallback(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	old, err := r.fallbackToWriter(ctx, subject)
	if err != nil || lists(referrerList{descriptors: old}, descriptor) {
		return err
	}
	added, err := listed(descriptor, manifest)
	if err != nil {
		return err
	}
	err = r.putFallback(ctx, subject, append(old, added), r.put)
	if isDangling(err) {
		if old, err = r.existing(ctx, old); err == nil {
			err = r.putFallback(ctx, subject, append(old, added), r.pushManifest)
		}
	}
	return err
}

// listed is the descriptor under which a fallback index lists a manifest.
func listed(descriptor ocispec.Descriptor, manifest []byte) (ocispec.Descriptor, error) {
	var said struct {
		ArtifactType string             `json:"artifactType"`
		Config       ocispec.Descriptor `json:"config"`
		Annotations  map[string]string  `json:"annotations"`
	}
	if err := json.Unmarshal(manifest, &said); err != nil {
		return descriptor, fmt.Errorf("%w: manifest: %v", entry.ErrInvalid, err)
	}
	if said.ArtifactType == "" {
		said.ArtifactType = said.Config.MediaType
	}
	return ocispec.Descriptor{
		MediaType: descriptor.MediaType, Digest: descriptor.Digest, Size: descriptor.Size,
		ArtifactType: said.ArtifactType, Annotations: said.Annotations,
	}, nil
}

func (r *remoteRepository) putFallback(ctx context.Context, subject ocispec.Descriptor, referrers []ocispec.Descriptor,
	put func(context.Context, ocispec.Descriptor, []byte, string) error) error {
	body, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: referrers,
	})
	if err != nil {
		return err
	}
	if len(body) > maxManifest {
		return fmt.Errorf("%w: an index of %d referrers is longer than a registry takes", entry.ErrMalformed, len(referrers))
	}
	index := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return put(ctx, index, body, referrertag.Index(subject.Digest))
}

// isDangling reports whether a registry refuses an index because something that
// it lists is not there.
func isDangling(err error) bool {
	var answer *refusal
	return errors.As(err, &answer) && answer.says("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")
}

// existing drops the referrers that the registry no longer has.
func (r *remoteRepository) existing(ctx context.Context, referrers []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var kept []ocispec.Descriptor
	for _, d := range referrers {
		_, err := r.resolve(ctx, d.Digest.String())
		if r.isAbsent(err) {
			_, _, err = r.manifest(ctx, d.Digest.String())
		}
		if err != nil && !r.isAbsent(err) {
			return nil, err
		}
		if err == nil {
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// ownTag is the tag of a referrer that would have none.
func (r *remoteRepository) ownTag(ctx context.Context, referrer digest.Digest) string {
	name := r.base
	if ref, err := ParseReference(name); err == nil {
		name = ref.Normal().Base()
	}
	return referrertag.Own(ctx, referrer, name)
}
