package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/registry"
)

var _ registry.Repository = (*Writer)(nil)

// small is how large a blob may be that is read before the turn to write it is
// taken, in bytes: a slow source keeps nobody waiting then.
const small = 4 << 20

// PushBlob implements registry.Repository.
func (w *Writer) PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error {
	if err := checkContent(descriptor, content, maxBlob); err != nil {
		return err
	}
	_, err := w.blob(ctx, descriptor, func(to io.Writer) error { _, err := to.Write(content); return err })
	if err == nil {
		w.remember(descriptor.Digest, content)
	}
	return err
}

func (w *Writer) remember(d digest.Digest, content []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recent.add(d, content)
}

// checkContent reports content that is not that of its descriptor, or too much.
func checkContent(descriptor ocispec.Descriptor, content []byte, most int) error {
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, descriptor.Digest, err)
	}
	if len(content) > most {
		return fmt.Errorf("%w: %d bytes of %s, more than the %d that readers take", entry.ErrInvalid, len(content), descriptor.Digest, most)
	}
	if got := descriptor.Digest.Algorithm().FromBytes(content); got != descriptor.Digest || int64(len(content)) != descriptor.Size {
		return fmt.Errorf("%w: %d bytes with digest %s pushed as %d bytes with %s", entry.ErrInvalid, len(content), got, descriptor.Size, descriptor.Digest)
	}
	return nil
}

// CopyBlob writes a blob of any size from another repository, unless it is there, and
// returns how many bytes were moved.
func (w *Writer) CopyBlob(ctx context.Context, descriptor ocispec.Descriptor, from registry.Repository) (moved int64, err error) {
	if there, err := w.holds(descriptor); there || err != nil {
		return 0, err
	}
	if descriptor.Size > small {
		return w.blob(ctx, descriptor, func(to io.Writer) error { return fetch.Blob(ctx, from, descriptor, to, fetch.Options{}) })
	}
	var content bytes.Buffer
	if err := fetch.Blob(ctx, from, descriptor, &content, fetch.Options{}); err != nil {
		return 0, err
	}
	return w.blob(ctx, descriptor, func(to io.Writer) error { _, err := to.Write(content.Bytes()); return err })
}

// PushManifest implements registry.Repository.
func (w *Writer) PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	if err := checkContent(descriptor, manifest, maxManifest); err != nil {
		return err
	}
	tag := reference
	if reference == descriptor.Digest.String() {
		tag = ""
	}
	if w.lists(descriptor.Digest, tag) {
		return nil
	}
	h := readHead(manifest)
	listed := ocispec.Descriptor{MediaType: descriptor.MediaType, Digest: descriptor.Digest, Size: descriptor.Size, ArtifactType: h.ArtifactType}
	if err := w.roomFor(tagged(listed, tag)); err != nil {
		return err
	}
	if _, err := w.blob(ctx, descriptor, func(to io.Writer) error { _, err := to.Write(manifest); return err }); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recent.add(descriptor.Digest, manifest)
	l, known := w.listed[descriptor.Digest]
	if !known {
		l = &listing{descriptor: listed}
		w.listed[descriptor.Digest] = l
		if h.Subject != nil {
			w.subjects[h.Subject.Digest] = append(w.subjects[h.Subject.Digest], descriptor.Digest)
		}
	}
	if tag == "" {
		l.bare = true
	} else {
		w.tags[tag] = descriptor.Digest
	}
	return nil
}

// lists reports whether a manifest is listed by a tag, or by its digest for "".
func (w *Writer) lists(d digest.Digest, tag string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, known := w.listed[d]
	return known && w.lost == nil && (tag == "" && l.bare || tag != "" && w.tags[tag] == d)
}

// roomFor reports an index.json that readers would refuse with one more descriptor.
func (w *Writer) roomFor(d ocispec.Descriptor) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tags)+len(w.listed) >= maxDescriptors || w.index+int64(len(text)) > maxIndex-block {
		return fmt.Errorf("%w: the archive lists %d manifests, and is full: keep parts of the catalog in files of their own", entry.ErrInvalid, len(w.listed))
	}
	w.index += int64(len(text)) + 1
	return nil
}

// PushReferrer implements registry.Repository.
func (w *Writer) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, _ ocispec.Descriptor) error {
	return w.PushManifest(ctx, descriptor, manifest, descriptor.Digest.String())
}

// Delete implements registry.Repository. The bytes stay.
func (w *Writer) Delete(_ context.Context, tag string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.tags[tag]; !there {
		return fmt.Errorf("tag %s in the archive: %w", tag, entry.ErrNotFound)
	}
	delete(w.tags, tag)
	return w.lost
}

// Tags implements registry.Repository.
func (w *Writer) Tags(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tags := make([]string, 0, len(w.tags))
	for tag := range w.tags {
		tags = append(tags, tag)
	}
	return tags, w.lost
}

// Resolve implements registry.Repository.
func (w *Writer) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil {
		return ocispec.Descriptor{}, w.lost
	}
	d, tagged := w.tags[reference]
	if !tagged {
		d = digest.Digest(reference)
	}
	l, there := w.listed[d]
	if !there {
		return ocispec.Descriptor{}, fmt.Errorf("%s in the archive: %w", reference, entry.ErrNotFound)
	}
	return l.descriptor, nil
}

// Manifest implements registry.Repository. What was written long ago is an
// entry.ErrUnreachable.
func (w *Writer) Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error) {
	descriptor, err := w.Resolve(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	manifest, err := w.Blob(ctx, descriptor)
	return descriptor, manifest, err
}

// Blob implements registry.Repository, as Manifest does.
func (w *Writer) Blob(_ context.Context, descriptor ocispec.Descriptor) ([]byte, error) {
	there, err := w.holds(descriptor)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	content, kept := w.recent.content[descriptor.Digest]
	switch {
	case kept:
		return bytes.Clone(content), nil
	case there:
		return nil, fmt.Errorf("%w: %s was written to the archive, and is not read again", entry.ErrUnreachable, descriptor.Digest)
	}
	return nil, fmt.Errorf("%s in the archive: %w", descriptor.Digest, entry.ErrNotFound)
}

// OpenBlob implements registry.Repository, as Manifest does.
func (w *Writer) OpenBlob(ctx context.Context, descriptor ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	if err := checkOffset(descriptor, offset); err != nil {
		return nil, 0, err
	}
	content, err := w.Blob(ctx, descriptor)
	if err != nil {
		return nil, 0, err
	}
	return io.NopCloser(bytes.NewReader(content[offset:])), offset, nil
}

// StatBlob implements registry.Repository.
func (w *Writer) StatBlob(_ context.Context, descriptor ocispec.Descriptor) error {
	there, err := w.holds(descriptor)
	if err == nil && !there {
		err = fmt.Errorf("%s in the archive: %w", descriptor.Digest, entry.ErrNotFound)
	}
	return err
}

// Referrers implements registry.Repository. The descriptors have no annotations.
func (w *Writer) Referrers(_ context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []ocispec.Descriptor
	for _, d := range w.subjects[subject.Digest] {
		found = append(found, w.listed[d].descriptor)
	}
	return found, w.lost
}

// ExpectPush does nothing: an archive has no login.
func (w *Writer) ExpectPush() {}

// CanPush reports why nothing can be written any more.
func (w *Writer) CanPush(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

func wrongSize(got, want int64) error {
	return fmt.Errorf("%w: a blob of %d bytes, and its descriptor says %d", entry.ErrMalformed, got, want)
}

// interrupted is the error of a context that ended.
func interrupted(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return entry.ErrTimeout
	}
	return context.Cause(ctx)
}
