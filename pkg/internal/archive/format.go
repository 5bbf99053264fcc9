package archive

import (
	"archive/tar"
	"bytes"
	_ "crypto/sha512" // of images whose digests are that
	"encoding/json"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// The members of an archive, in their order; between the first two are the blobs.
const (
	layoutName   = ocispec.ImageLayoutFile
	indexName    = ocispec.ImageIndexFile
	contentsName = "caib-contents.json"
	endName      = "caib-contents.descriptor.json"
)

// contentsType is the media type of the contents, in version 1 of the format.
const contentsType = "application/vnd.caib.archive.contents.v1+json"

const layoutText = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`

const (
	block = 512
	// tailSize is what comes behind the contents: the end, which takes two blocks,
	// and the two blocks of zeros that end a tar.
	tailSize = 4 * block

	maxManifest    = 4 << 20   // bytes
	maxBlob        = 64 << 20  // bytes of a blob that is returned whole
	maxIndex       = 128 << 20 // bytes of index.json
	maxContents    = 128 << 20 // bytes
	maxDescriptors = 500_000   // in index.json
	shortestTag    = 32        // bytes that a revision's tag takes in a list, or more
)

// Contents is what an archive says of itself.
type Contents struct {
	Version int    `json:"version"` // of the format: 1
	Catalog string `json:"catalog"` // that it is of, in normal form
	Created string `json:"created"` // RFC 3339, UTC
	Images  bool   `json:"images"`  // the images of the catalog were taken along
	// Base is what an increment goes on from; nil for an archive that is complete
	// in itself.
	Base  *BaseContents `json:"base,omitempty"`
	Blobs bounded[File] `json:"blobs"` // in the order of the archive
	Index File          `json:"index"` // index.json
}

// File is a member of an archive. A blob's name follows from its digest.
type File struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// BaseContents is what an increment says of its base.
type BaseContents struct {
	Contents digest.Digest `json:"contents"` // digest of the base's contents
	Created  string        `json:"created"`  // as the base says
	// What the base has, its own base included: revision tags, blobs, and the
	// manifests and blobs of images by their repositories.
	Tags   bounded[string]                   `json:"tags"`
	Blobs  bounded[digest.Digest]            `json:"blobs"`
	Images map[string]bounded[digest.Digest] `json:"images"`
}

// listed is what of a descriptor in index.json an archive has to know.
type listed struct {
	MediaType    string        `json:"mediaType"`
	Digest       digest.Digest `json:"digest"`
	Size         int64         `json:"size"`
	ArtifactType string        `json:"artifactType"`
	Annotations  struct {
		Tag string `json:"org.opencontainers.image.ref.name"`
	} `json:"annotations"`
}

// bounded is a list that is not read on once it is longer than any that a writer makes:
// a list of nothing takes much more memory than text.
type bounded[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (b *bounded[T]) UnmarshalJSON(text []byte) error {
	*b = nil
	decoder := json.NewDecoder(bytes.NewReader(text))
	switch begin, err := decoder.Token(); {
	case err != nil:
		return err
	case begin == nil: // null
		return nil
	case begin != json.Delim('['):
		return fmt.Errorf("%v, where a list is due", begin)
	}
	most := maxContents / fileSize
	if _, ofTags := any(*b).(bounded[string]); ofTags {
		most = maxContents / shortestTag
	}
	for decoder.More() {
		if len(*b) == most {
			return fmt.Errorf("a list of more than %d", most)
		}
		var one T
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		*b = append(*b, one)
	}
	return nil
}

// header is the one encoding that the header of a member has.
func header(name string, size int64) ([]byte, error) {
	var encoded bytes.Buffer
	err := tar.NewWriter(&encoded).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
	if err != nil {
		return nil, fmt.Errorf("%w: %s of %d bytes: %v", entry.ErrInvalid, name, size, err)
	}
	return encoded.Bytes(), nil
}

// padding is how many zeros follow a member, so that it ends with a block.
func padding(size int64) int64 { return -size & (block - 1) }

func blobName(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, d, err)
	}
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), nil
}

// tail encodes what comes behind the contents.
func tail(contents ocispec.Descriptor) ([]byte, error) {
	text, err := json.Marshal(contents)
	if err != nil {
		return nil, err
	}
	encoded, err := header(endName, int64(len(text)))
	if err != nil {
		return nil, err
	}
	return append(append(encoded, text...), make([]byte, tailSize-len(encoded)-len(text))...), nil
}

// head is what of a manifest an archive has to know.
type head struct {
	ArtifactType string              `json:"artifactType"`
	Config       *ocispec.Descriptor `json:"config"`
	Subject      *ocispec.Descriptor `json:"subject"`
	Annotations  map[string]string   `json:"annotations"`
}

// readHead reads a manifest, as far as it is one: what other programs wrote may have
// members of other types, and refers to nothing then.
func readHead(manifest []byte) (h head) {
	if json.Unmarshal(manifest, &h) != nil {
		return head{}
	}
	if h.ArtifactType == "" && h.Subject != nil && h.Config != nil {
		h.ArtifactType = h.Config.MediaType
	}
	return h
}

// checkOffset reports an offset that is not within a blob.
func checkOffset(descriptor ocispec.Descriptor, offset int64) error {
	if offset < 0 || offset > descriptor.Size {
		return fmt.Errorf("%w: offset %d in a blob of %d bytes", entry.ErrInvalid, offset, descriptor.Size)
	}
	return nil
}

// zeros is a reader of zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var _ io.Reader = zeros{}
