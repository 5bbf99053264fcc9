package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
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

// PushReferrer implements Repository. Where it is not known whether the registry has
// the Referrers API, which no header shows reliably, it asks for the referrers first.
// Without it, the list is one index that every client reads, changes
// and overwrites (SPEC section 9). A client that read it before our write may
// still overwrite it after our look, so we look once more when such a client
// must be done.
func (r *remoteRepository) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	err := r.pushReferrer(ctx, descriptor, manifest, subject)
	return r.classify(ctx, "attach to "+r.named(subject.Digest.String()), err)
}

func (r *remoteRepository) pushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error {
	list := referrerList{fallback: r.referrers.isAbsent()}
	if !list.fallback && !r.referrers.isThere() {
		var err error
		if list, err = r.listToWriter(ctx, subject); err != nil {
			return err
		}
		if lists(list, descriptor) {
			return r.restore(ctx, descriptor, manifest, list.fallback)
		}
	}
	for attempt := range listAttempts {
		write := &indexWrite{descriptor: descriptor, manifest: manifest}
		var err error
		if list.fallback {
			err = r.pushToFallback(ctx, write, subject, attempt == 0)
		} else {
			err = r.pushManifest(ctx, descriptor, manifest, descriptor.Digest.String())
		}
		if err != nil {
			return err
		}
		list, err = r.listToWriter(ctx, subject)
		wasListed := attempt == 0 && write.index == nil // by somebody else, long ago
		if err == nil && list.fallback && lists(list, descriptor) && !wasListed {
			list, err = r.lastLooks(ctx, list, write, subject)
		}
		if err != nil || lists(list, descriptor) {
			return err
		}
		if err := pause.For(ctx, jitter(min(settle<<attempt/4, time.Second))); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: written %d times and never listed among the referrers", entry.ErrUnreachable, listAttempts)
}

// lastLooks reads a fallback index again that lists a referrer, and returns the list once
// no other client is likely to take the referrer out of it any more: where nobody else
// changed the index, after as long as such a client takes between reading and writing
// it. Where somebody did, what one client takes out another one may put back, and so
// on: then only an index that stays as it is, for several times as long, will do.
func (r *remoteRepository) lastLooks(ctx context.Context, list referrerList, write *indexWrite, subject ocispec.Descriptor) (referrerList, error) {
	wait := time.Until(write.at.Add(max(settle, write.round) + jitter(settle)))
	before := write.index
	for range maxLastLooks {
		if !sameList(list.descriptors, before) {
			wait = max(4*settle, 8*write.round) + jitter(settle)
		}
		if err := pause.For(ctx, wait); err != nil {
			return list, err
		}
		before = list.descriptors
		var err error
		if list, err = r.listToWriter(ctx, subject); err != nil || !lists(list, write.descriptor) || sameList(list.descriptors, before) {
			return list, err
		}
	}
	return list, nil
}

// maxLastLooks bounds how often an index is looked at that others change all the time.
const maxLastLooks = 20

// sameList reports whether two lists hold the same referrers.
func sameList(a, b []ocispec.Descriptor) bool {
	return slices.EqualFunc(a, b, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest })
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

// indexWrite is one referrer that is to be listed in a fallback index.
type indexWrite struct {
	descriptor ocispec.Descriptor
	manifest   []byte
	pushed     chan struct{} // closed once the manifest is there, or failed
	failed     error         // why it is not there

	// Guarded by the lock of the index.
	done  bool
	at    time.Time // when the index was written; zero where it listed the referrer already
	index []ocispec.Descriptor
	round time.Duration // how long the registry took to answer
}

// pushToFallback writes a referrer, and lists it in the fallback index, beside others
// that this process is about to list there.
// Registries collect what has no tag, whatever an index says: the referrer has
// one of its own.
func (r *remoteRepository) pushToFallback(ctx context.Context, write *indexWrite, subject ocispec.Descriptor, first bool) error {
	write.pushed = make(chan struct{})
	go func() {
		defer close(write.pushed)
		if first {
			write.failed = r.pushManifest(ctx, write.descriptor, write.manifest, r.ownTag(ctx, write.descriptor.Digest))
		}
	}()
	defer func() { <-write.pushed }()
	r.writes.add(subject.Digest, write)
	defer r.writes.drop(subject.Digest, write)
	unlock, err := r.indexes.Lock(ctx, subject.Digest.String())
	if err != nil {
		return err
	}
	defer unlock()
	if write.done {
		return nil
	}
	if err := r.addToFallback(ctx, subject, r.writes.of(subject.Digest)); err != nil {
		return err
	}
	return write.failed
}

// addToFallback lists referrers in the index, once they are there.
func (r *remoteRepository) addToFallback(ctx context.Context, subject ocispec.Descriptor, writes []*indexWrite) error {
	begun := time.Now()
	old, err := r.fallbackToWriter(ctx, subject)
	read := time.Now()
	for _, write := range writes {
		<-write.pushed
	}
	if err == nil && time.Since(read) > read.Sub(begun)/4 { // others have had more time than need be to change it
		begun = time.Now()
		old, err = r.fallbackToWriter(ctx, subject)
		read = time.Now()
	}
	if err != nil {
		return err
	}
	var entries []ocispec.Descriptor
	var added []*indexWrite
	for _, write := range writes {
		switch {
		case write.failed != nil:
		case lists(referrerList{descriptors: old}, write.descriptor):
			write.done, write.at, write.round = true, read, read.Sub(begun)
		default:
			entry, err := listed(write.descriptor, write.manifest)
			if write.failed = err; err == nil {
				entries, added = append(entries, entry), append(added, write)
			}
		}
	}
	if len(added) == 0 {
		return nil
	}
	all := eachOnce(slices.Concat(old, entries))
	err = r.putFallback(ctx, subject, all, r.put)
	if isDangling(err) {
		if old, err = r.existing(ctx, old); err == nil {
			all = eachOnce(slices.Concat(old, entries))
			err = r.putFallback(ctx, subject, all, r.pushManifest)
		}
	}
	for _, write := range added {
		write.done, write.index, write.at, write.round = err == nil, all, time.Now(), max(read.Sub(begun), time.Since(read))
	}
	return err
}

// indexWrites are those under way in this process, by the subject of their index.
type indexWrites struct {
	mu        sync.Mutex
	bySubject map[digest.Digest][]*indexWrite
}

func (w *indexWrites) add(subject digest.Digest, write *indexWrite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bySubject == nil {
		w.bySubject = map[digest.Digest][]*indexWrite{}
	}
	w.bySubject[subject] = append(w.bySubject[subject], write)
}

// of returns those that are to be written now.
func (w *indexWrites) of(subject digest.Digest) []*indexWrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.bySubject[subject]), func(write *indexWrite) bool { return write.done })
}

func (w *indexWrites) drop(subject digest.Digest, write *indexWrite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(w.bySubject[subject]), func(other *indexWrite) bool { return other == write })
	if w.bySubject[subject] = left; len(left) == 0 {
		delete(w.bySubject, subject)
	}
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
