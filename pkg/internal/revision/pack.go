package revision

import (
	"bytes"
	_ "crypto/sha256" // the algorithms of digests
	_ "crypto/sha512"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxManifest bounds every manifest that is read or written, in bytes: the
// most that registries accept.
const MaxManifest = 4 << 20

// Blob is content to push before the manifest that names it.
type Blob struct {
	Descriptor ocispec.Descriptor
	Content    []byte
}

// Packed is an artifact ready to push: first the blobs, in order, then the
// manifest. Its slices are not to be changed.
type Packed struct {
	Tag        Tag // of the log; zero for an attachment
	Descriptor ocispec.Descriptor
	Manifest   []byte
	Blobs      []Blob
}

// Pack makes the publish revision of a document (SPEC section 4). seen is what
// its writer saw of the catalog; zero says nothing of it. The error is a
// *ValidationError, or another ErrInvalid.
func Pack(document *Document, seen Seen) (*Packed, error) {
	text, err := canonical(document)
	if err != nil {
		return nil, err
	}
	return pack(OpPublish, document.Name, document.PublishedAt, text, documentFacets(document, seen, nil))
}

// PackRewrite is Pack for a document that replaces old, a document as a reader
// found it: what a newer writer put into old beyond the fields known here is
// kept (SPEC section 6).
func PackRewrite(document *Document, old []byte, seen Seen) (*Packed, error) {
	return PackEdit(document, old, seen, nil)
}

// PackEdit is PackRewrite for an edit: bases are the hashes of the tags of the
// revisions that it was made from, first that of old (SPEC section 4.2).
func PackEdit(document *Document, old []byte, seen Seen, bases []string) (*Packed, error) {
	var parsed Document
	if err := json.Unmarshal(old, &parsed); err != nil {
		return nil, fmt.Errorf("%w: document to rewrite: %v", entry.ErrInvalid, err)
	}
	known, err := canonical(parsed)
	if err != nil {
		return nil, err
	}
	fresh, err := canonical(document)
	if err != nil {
		return nil, err
	}
	text, err := carry(old, known, fresh)
	if err != nil {
		return nil, err
	}
	return pack(OpPublish, document.Name, document.PublishedAt, text, documentFacets(document, seen, bases))
}

// PackRemoval makes a removal revision (SPEC section 7); seen is as for Pack.
func PackRemoval(removal *Removal, seen Seen) (*Packed, error) {
	text, err := canonical(removal)
	if err != nil {
		return nil, err
	}
	return pack(OpRemove, removal.Name, removal.RemovedAt, text, removal.facets(seen))
}

func pack(op Op, name string, at entry.Time, document []byte, annotations map[string]string) (*Packed, error) {
	if err := entry.CheckName(name); err != nil {
		return nil, err
	}
	if err := validate(op, document); err != nil {
		return nil, err
	}
	mediaType := MediaTypeEntry
	if op == OpRemove {
		mediaType = MediaTypeRemoval
	}
	packed, err := packManifest(mediaType, mediaType, document, annotations, nil)
	if err != nil {
		return nil, err
	}
	packed.Tag = NewTag(name, at, op, packed.Descriptor.Digest)
	if again, ok := ParseTag(packed.Tag.String()); !ok || again != packed.Tag {
		return nil, fmt.Errorf("%w: the time %s does not fit into a tag", entry.ErrInvalid, at)
	}
	return packed, nil
}

// PackAttachment makes the referrer that puts a revision beside its image
// (SPEC section 9): revision is the exact manifest of a publish revision,
// subject the image's descriptor, catalog the normal reference of the catalog that
// the revision is in. "" names none: of a layout, whose path means nothing
// elsewhere, and in attachments that earlier releases wrote.
func PackAttachment(revision []byte, catalog string, subject ocispec.Descriptor) (*Packed, error) {
	var manifest ocispec.Manifest
	if err := json.Unmarshal(revision, &manifest); err != nil {
		return nil, fmt.Errorf("%w: revision manifest: %v", entry.ErrInvalid, err)
	}
	// A subject is named, not described: its annotations or URLs are not ours.
	plain := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return packManifest(manifest.ArtifactType, MediaTypeRevision, revision, withCatalog(manifest.Annotations, catalog), &plain)
}

// PackSignatures makes the referrer that puts signatures of a revision beside its
// attachment (SPEC section 9): revision is the digest of its manifest,
// signatures are those of a snapshot's record, subject is the image's descriptor.
// Of the same signatures, in whatever order, it makes the same artifact.
func PackSignatures(revision digest.Digest, signatures []jsontext.Value, subject ocispec.Descriptor) (*Packed, error) {
	content, err := json.Marshal(struct {
		Revision   digest.Digest    `json:"revision"`
		Signatures []jsontext.Value `json:"signatures"`
	}{revision, slices.SortedFunc(slices.Values(signatures), func(a, b jsontext.Value) int { return bytes.Compare(a, b) })})
	if err != nil {
		return nil, fmt.Errorf("%w: signatures: %v", entry.ErrInvalid, err)
	}
	plain := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return packManifest(MediaTypeSignatures, MediaTypeSignatures, content, nil, &plain)
}

func packManifest(artifactType, layerType string, content []byte, annotations map[string]string, subject *ocispec.Descriptor) (*Packed, error) {
	config := ocispec.DescriptorEmptyJSON
	layer := ocispec.Descriptor{MediaType: layerType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	embedded := layer
	embedded.Data = content
	configOnly := config
	configOnly.Data = nil
	manifest, err := canonical(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       configOnly,
		Layers:       []ocispec.Descriptor{embedded},
		Subject:      subject,
		Annotations:  annotations,
	})
	if err != nil {
		return nil, err
	}
	if len(manifest) > MaxManifest {
		return nil, fmt.Errorf("%w: manifest of %d bytes, more than the %d that registries take", entry.ErrInvalid, len(manifest), MaxManifest)
	}
	return &Packed{
		Descriptor: ocispec.Descriptor{
			MediaType:    ocispec.MediaTypeImageManifest,
			ArtifactType: artifactType,
			Digest:       digest.FromBytes(manifest),
			Size:         int64(len(manifest)),
		},
		Manifest: manifest,
		Blobs: []Blob{
			{Descriptor: configOnly, Content: config.Data},
			{Descriptor: layer, Content: content},
		},
	}, nil
}
