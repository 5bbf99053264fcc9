package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Reader is an archive that was found right in every byte, and the
// registry.Repository in it, for several callers at once. It takes no writes. The file
// may be written to by others meanwhile, so what is read is checked again.
type Reader struct {
	Contents Contents

	digest    digest.Digest // of the contents
	at        io.ReaderAt
	blobs     map[digest.Digest]extent
	tags      map[string]digest.Digest
	manifests map[digest.Digest]ocispec.Descriptor // that are listed
	subjects  map[digest.Digest][]digest.Digest    // referrers, by subject
	close     func() error
}

// extent is where the content of a member is.
type extent struct{ offset, size int64 }

// Close closes the file, where OpenFile opened it.
func (r *Reader) Close() error {
	if r.close == nil {
		return nil
	}
	return r.close()
}

// altered is the error of an archive that is not as its writer made it.
func altered(format string, args ...any) error {
	return fmt.Errorf("%w: the archive was cut or altered: %s", entry.ErrMalformed, fmt.Sprintf(format, args...))
}

// Open reads an archive of a size, a tar or one that was compressed, and returns it
// only if every byte of it is right. Anything else is an entry.ErrMalformed, or an
// error of the file.
func Open(ctx context.Context, at io.ReaderAt, size int64) (*Reader, error) {
	at, size, err := decompressed(ctx, at, size)
	if err != nil {
		return nil, err
	}
	o := &opening{Reader: &Reader{
		at: at, blobs: map[digest.Digest]extent{}, tags: map[string]digest.Digest{},
		manifests: map[digest.Digest]ocispec.Descriptor{}, subjects: map[digest.Digest][]digest.Digest{},
	}, ctx: ctx, size: size}
	for _, step := range []func() error{o.readContents, o.checkBase, o.place, o.readIndex, o.verify} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return o.Reader, nil
}

// opening is an archive that is being checked.
type opening struct {
	*Reader
	ctx      context.Context
	size     int64
	contents ocispec.Descriptor
	start    int64  // of the contents, with their header
	index    []byte // index.json
}

// readContents reads the contents by the descriptor at the end.
func (o *opening) readContents() error {
	if o.size < tailSize || o.size%block != 0 {
		return altered("it has %d bytes", o.size)
	}
	end := make([]byte, tailSize)
	if _, err := o.at.ReadAt(end, o.size-tailSize); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	text := bytes.TrimRight(end[block:2*block], "\x00")
	if json.Unmarshal(text, &o.contents) != nil || o.contents.MediaType == "" {
		return altered("it does not end as an archive of a catalog does")
	}
	if o.contents.MediaType != contentsType {
		return fmt.Errorf("%w: the archive is of a format that this version does not read: %.100q", entry.ErrMalformed, o.contents.MediaType)
	}
	if want, err := tail(ocispec.Descriptor{MediaType: contentsType, Digest: o.contents.Digest, Size: o.contents.Size}); err != nil || !bytes.Equal(end, want) {
		return altered("its end is not right")
	}
	if o.contents.Digest.Validate() != nil || o.contents.Digest.Algorithm() != digest.SHA256 {
		return altered("the contents have no digest")
	}
	if o.contents.Size < 1 || o.contents.Size > min(maxContents, o.size) {
		return altered("contents of %d bytes", o.contents.Size)
	}
	o.start = o.size - tailSize - padding(o.contents.Size) - o.contents.Size - block
	if o.start < 0 {
		return altered("contents of %d bytes", o.contents.Size)
	}
	if text, err := o.member(o.start, contentsName, o.contents.Digest, o.contents.Size); err != nil {
		return err
	} else if err := json.Unmarshal(text, &o.Contents); err != nil {
		return altered("contents: %v", err)
	}
	if o.Contents.Version != 1 {
		return altered("contents of version %d", o.Contents.Version)
	}
	o.digest = o.contents.Digest
	return nil
}

// checkBase checks what an increment says of its base.
func (o *opening) checkBase() error {
	base := o.Contents.Base
	if base == nil {
		return nil
	}
	named := append([]digest.Digest{base.Contents}, base.Blobs...)
	for _, held := range base.Images {
		named = append(named, held...)
	}
	for _, d := range named {
		if d.Validate() != nil {
			return altered("the base has a digest %.100q", d)
		}
	}
	return nil
}

// member reads a member that is not a blob whole, and checks all of its bytes.
func (o *opening) member(start int64, name string, want digest.Digest, size int64) ([]byte, error) {
	var content bytes.Buffer
	content.Grow(int(size))
	from := bufio.NewReader(io.NewSectionReader(o.at, start, o.size-start))
	err := o.checkMember(from, name, File{want, size}, &content)
	return content.Bytes(), err
}

// checkMember reads a member, compares its header and padding, and hashes its content,
// which is copied besides.
func (o *opening) checkMember(from io.Reader, name string, file File, to io.Writer) error {
	want, err := header(name, file.Size)
	if err != nil {
		return altered("%v", err)
	}
	got := make([]byte, len(want))
	if err := readFull(from, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return altered("the header of %s is not right", name)
	}
	hash := file.Digest.Algorithm().Hash()
	content := &interruptible{o.ctx, io.LimitReader(from, file.Size)}
	if n, err := io.Copy(io.MultiWriter(hash, to), content); err != nil {
		return err
	} else if n != file.Size {
		return altered("%s ends early", name)
	}
	if digest.NewDigest(file.Digest.Algorithm(), hash) != file.Digest {
		return altered("the content of %s is not right", name)
	}
	rest := make([]byte, padding(file.Size))
	if err := readFull(from, rest); err != nil {
		return err
	}
	if len(bytes.TrimLeft(rest, "\x00")) > 0 {
		return altered("what follows %s is not right", name)
	}
	return nil
}

func readFull(from io.Reader, p []byte) error {
	_, err := io.ReadFull(from, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return altered("it ends early")
	}
	return err
}

// interruptible is a reader that ends with a context.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, interrupted(r.ctx)
	}
	return r.Reader.Read(p)
}

// place finds where each member is, by the contents alone: together they take all the
// bytes before them, and no more.
func (o *opening) place() error {
	at := int64(block + len(layoutText))
	at += padding(at)
	for _, file := range o.Contents.Blobs {
		name, err := blobName(file.Digest)
		if err != nil {
			return altered("%v", err)
		}
		if _, twice := o.blobs[file.Digest]; twice {
			return altered("the contents have %s twice", file.Digest)
		}
		content, next, err := o.after(at, name, file.Size)
		if err != nil {
			return err
		}
		o.blobs[file.Digest], at = extent{content, file.Size}, next
	}
	if d := o.Contents.Index.Digest; d.Validate() != nil || d.Algorithm() != digest.SHA256 || o.Contents.Index.Size > maxIndex {
		return altered("an index with the digest %.100q and %d bytes", d, o.Contents.Index.Size)
	}
	_, next, err := o.after(at, indexName, o.Contents.Index.Size)
	if err != nil {
		return err
	}
	if next != o.start {
		return altered("the contents are of %d bytes, and it has %d", next, o.start)
	}
	o.index, err = o.member(at, indexName, o.Contents.Index.Digest, o.Contents.Index.Size)
	return err
}

// after returns where the content of a member that begins at a place is, and where the
// next one begins.
func (o *opening) after(at int64, name string, size int64) (content, next int64, err error) {
	if size < 0 || size > o.start {
		return 0, 0, altered("%s of %d bytes", name, size)
	}
	encoded, err := header(name, size)
	if err != nil {
		return 0, 0, altered("%v", err)
	}
	content = at + int64(len(encoded))
	next = content + size + padding(size)
	if next > o.start {
		return 0, 0, altered("%s of %d bytes is longer than what there is", name, size)
	}
	return content, next, nil
}

// readIndex reads which manifests there are. Each is among the blobs.
func (o *opening) readIndex() error {
	var index struct {
		Manifests bounded[listed] `json:"manifests"`
	}
	if err := json.Unmarshal(o.index, &index); err != nil {
		return altered("%s: %v", indexName, err)
	}
	o.index = nil
	if len(index.Manifests) > maxDescriptors {
		return altered("%d manifests, more than %d", len(index.Manifests), maxDescriptors)
	}
	for _, d := range index.Manifests {
		tag := d.Annotations.Tag
		switch at, there := o.blobs[d.Digest]; {
		case !there || at.size != d.Size:
			return altered("%s lists %.100q of %d bytes, which is not there", indexName, d.Digest, d.Size)
		case d.Size > maxManifest:
			return altered("a manifest of %d bytes", d.Size)
		}
		if _, twice := o.tags[tag]; twice {
			return altered("the tag %.200q is there twice", tag)
		}
		if tag != "" {
			o.tags[tag] = d.Digest
		}
		o.manifests[d.Digest] = ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: d.ArtifactType}
	}
	return nil
}

// verify reads all of the archive before the contents, and notes the referrers on the
// way. Index and contents were checked already.
func (o *opening) verify() error {
	from := bufio.NewReaderSize(io.NewSectionReader(o.at, 0, o.start), int(min(o.start, 1<<20)))
	layout := File{digest.FromString(layoutText), int64(len(layoutText))}
	if err := o.checkMember(from, layoutName, layout, io.Discard); err != nil {
		return err
	}
	for _, file := range o.Contents.Blobs {
		name, err := blobName(file.Digest)
		if err != nil {
			return err
		}
		if _, listed := o.manifests[file.Digest]; !listed {
			if err := o.checkMember(from, name, file, io.Discard); err != nil {
				return err
			}
			continue
		}
		var manifest bytes.Buffer
		if err := o.checkMember(from, name, file, &manifest); err != nil {
			return err
		}
		if subject := readHead(manifest.Bytes()).Subject; subject != nil {
			o.subjects[subject.Digest] = append(o.subjects[subject.Digest], file.Digest)
		}
	}
	return nil
}
