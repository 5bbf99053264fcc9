package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// Options say what an archive is.
type Options struct {
	Catalog string    // that it is of, in normal form
	Created time.Time // to the second
	Images  bool      // the images of the catalog are taken along
	// Base is what an increment goes on from, and names in its contents. Who
	// writes the increment leaves out what the base has. nil makes an archive that
	// is complete in itself.
	Base *Base
}

// Writer writes an archive, and is the registry.Repository that is in it so far, for
// several callers at once. What was written cannot be undone: where the content of a
// large blob turns out to be wrong, or breaks off, the archive is lost, and everything
// after says so. Nothing is an archive before Close.
type Writer struct {
	options Options
	to      io.Writer
	turn    chan struct{} // full while somebody writes

	mu       sync.Mutex
	lost     error // why nothing can be written any more
	files    []File
	blobs    map[digest.Digest]int64 // sizes of files
	size     int64                   // of the contents, roughly, in bytes
	listed   map[digest.Digest]*listing
	tags     map[string]digest.Digest
	index    int64 // bytes of index.json, roughly
	subjects map[digest.Digest][]digest.Digest
	recent   recent
}

// listing is a manifest that index.json lists: under its tags, or by digest.
type listing struct {
	descriptor ocispec.Descriptor
	bare       bool // it was written by its digest
}

// NewWriter begins an archive.
func NewWriter(to io.Writer, options Options) (*Writer, error) {
	w := &Writer{
		options: options, to: to, turn: make(chan struct{}, 1), blobs: map[digest.Digest]int64{}, listed: map[digest.Digest]*listing{},
		tags: map[string]digest.Digest{}, subjects: map[digest.Digest][]digest.Digest{}, recent: newRecent(),
	}
	if base := options.Base; base != nil {
		if base.Catalog != options.Catalog {
			return nil, fmt.Errorf("%w: the base is of %s, and cannot be gone on from with %s", entry.ErrInvalid, base.Catalog, options.Catalog)
		}
		w.size = base.size()
	}
	return w, w.text(layoutName, []byte(layoutText))
}

// text writes a member that is not a blob.
func (w *Writer) text(name string, text []byte) error {
	m := &member{to: w.to, name: name, size: int64(len(text))}
	_, err := m.Write(text)
	if err == nil {
		err = m.close()
	}
	return err
}

// member is a member under way. Its header is written with its first byte, so that
// nothing is lost where none comes.
type member struct {
	to    io.Writer
	name  string
	size  int64
	done  int64
	begun bool
}

func (m *member) begin() error {
	encoded, err := header(m.name, m.size)
	if err == nil {
		m.begun = true
		_, err = m.to.Write(encoded)
	}
	return err
}

// Write fails beyond the member's size.
func (m *member) Write(p []byte) (int, error) {
	if m.done+int64(len(p)) > m.size {
		return 0, fmt.Errorf("%w: %s is longer than the %d bytes that it should have", entry.ErrMalformed, m.name, m.size)
	}
	if !m.begun {
		if err := m.begin(); err != nil {
			return 0, err
		}
	}
	n, err := m.to.Write(p)
	m.done += int64(n)
	return n, err
}

func (m *member) close() error {
	if m.done != m.size {
		return fmt.Errorf("%w: %s ends after %d of %d bytes", entry.ErrMalformed, m.name, m.done, m.size)
	}
	if !m.begun { // it is empty
		if err := m.begin(); err != nil {
			return err
		}
	}
	_, err := io.CopyN(m.to, zeros{}, padding(m.size))
	return err
}

// takeTurn waits until nobody else writes.
func (w *Writer) takeTurn(ctx context.Context) (release func(), err error) {
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, interrupted(ctx)
	}
}

// blob writes a blob that is not there yet, by what put writes of it.
func (w *Writer) blob(ctx context.Context, d ocispec.Descriptor, put func(io.Writer) error) (moved int64, err error) {
	name, err := blobName(d.Digest)
	if err != nil {
		return 0, err
	}
	release, err := w.takeTurn(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	if there, err := w.holds(d); there || err != nil {
		return 0, err
	}
	if err := w.room(); err != nil {
		return 0, err
	}
	m := &member{to: w.to, name: name, size: d.Size}
	if err = put(m); err == nil {
		err = m.close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.files = append(w.files, File{Digest: d.Digest, Size: d.Size})
		w.blobs[d.Digest] = d.Size
		w.size += fileSize
	case m.begun:
		w.lost = fmt.Errorf("the archive is lost, as %s is in it in part: %w", d.Digest, err)
		err = w.lost
	}
	return d.Size, err
}

// fileSize is how many bytes of the contents a blob takes, or more.
const fileSize = 256

// room reports contents that readers would refuse.
func (w *Writer) room() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.size+fileSize > maxContents {
		return fmt.Errorf("%w: the archive has %d blobs, and is full: keep parts of the catalog in files of their own", entry.ErrInvalid, len(w.files))
	}
	return nil
}

// holds reports whether a blob is there. Another size than the descriptor's is an
// entry.ErrMalformed.
func (w *Writer) holds(d ocispec.Descriptor) (bool, error) {
	if err := d.Digest.Validate(); err != nil {
		return false, fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, d.Digest, err)
	}
	if d.Size < 0 {
		return false, fmt.Errorf("%w: blob %s of %d bytes", entry.ErrInvalid, d.Digest, d.Size)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil {
		return false, w.lost
	}
	size, there := w.blobs[d.Digest]
	if there && size != d.Size {
		return false, wrongSize(size, d.Size)
	}
	return there, nil
}

// Close writes index.json and the contents, last: the archive is whole then. It
// closes nothing else.
func (w *Writer) Close(ctx context.Context) error {
	release, err := w.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer release()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil {
		return w.lost
	}
	w.lost = fmt.Errorf("%w: the archive is closed", entry.ErrInvalid)
	index, err := w.indexText()
	if err != nil {
		return err
	}
	if err := w.text(indexName, index); err != nil {
		return err
	}
	contents := Contents{
		Version: 1, Catalog: w.options.Catalog, Created: w.options.Created.UTC().Format(time.RFC3339), Images: w.options.Images, Blobs: w.files,
		Index: File{digest.FromBytes(index), int64(len(index))},
	}
	if contents.Blobs == nil {
		contents.Blobs = []File{}
	}
	if base := w.options.Base; base != nil {
		contents.Base = base.contents()
	}
	text, err := json.Marshal(contents)
	if err != nil {
		return err
	}
	if err := w.text(contentsName, text); err != nil {
		return err
	}
	end, err := tail(ocispec.Descriptor{MediaType: contentsType, Digest: digest.FromBytes(text), Size: int64(len(text))})
	if err == nil {
		_, err = w.to.Write(end)
	}
	return err
}

// indexText is index.json: a descriptor for each tag, and for each manifest that was
// written by its digest and has no tag but one that keeps it, in the order of digests
// and tags.
func (w *Writer) indexText() ([]byte, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	named := map[digest.Digest]bool{}
	for tag, d := range w.tags {
		index.Manifests = append(index.Manifests, tagged(w.listed[d].descriptor, tag))
		named[d] = named[d] || !referrertag.IsKeep(tag)
	}
	for d, l := range w.listed {
		if l.bare && !named[d] {
			index.Manifests = append(index.Manifests, l.descriptor)
		}
	}
	slices.SortFunc(index.Manifests, func(a, b ocispec.Descriptor) int {
		return cmp.Or(cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Annotations[ocispec.AnnotationRefName], b.Annotations[ocispec.AnnotationRefName]))
	})
	text, err := json.Marshal(index)
	if err == nil && len(text) > maxIndex {
		err = fmt.Errorf("%w: %s of %d bytes, more than the %d that readers take", entry.ErrInvalid, indexName, len(text), maxIndex)
	}
	return text, err
}

func tagged(d ocispec.Descriptor, tag string) ocispec.Descriptor {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	return d
}

// recent keeps what was written last, for those who read it again.
type recent struct {
	content map[digest.Digest][]byte
	order   []digest.Digest
	size    int
}

const (
	maxRecent     = 64 << 20 // bytes of all
	maxRecentEach = 4 << 20
)

func newRecent() recent { return recent{content: map[digest.Digest][]byte{}} }

func (r *recent) add(d digest.Digest, content []byte) {
	if _, there := r.content[d]; there || len(content) > maxRecentEach {
		return
	}
	r.content[d] = bytes.Clone(content)
	r.order = append(r.order, d)
	for r.size += len(content); r.size > maxRecent; r.order = r.order[1:] {
		r.size -= len(r.content[r.order[0]])
		delete(r.content, r.order[0])
	}
}
