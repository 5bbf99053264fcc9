package revision

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Revision is one checked event in the life of a name. Exactly one of
// Document, Removal and Later is set. It is immutable and may be shared.
type Revision struct {
	Tag      Tag
	Digest   digest.Digest // of the revision's manifest: what a signature covers
	Size     int64         // of the manifest, in bytes
	Document *Document     // of a publication
	Removal  *Removal      // of a removal
	Later    string        // artifact type of a later format, which this code cannot read
	Seen     Seen          // what its writer saw of the catalog
	// Bases are the hashes of the tags of the revisions that an edit was made from, the
	// one that it changes first; nil for what is no edit, or does not say.
	Bases []string
}

// Live reports whether the revision, where it is the head of its name, makes the
// name a live one: a publication of a format that this code reads.
func (r *Revision) Live() bool { return r.Tag.Op == OpPublish && r.Later == "" }

// CheckFormat returns an entry.ErrLaterFormat for a revision of a later format.
func (r *Revision) CheckFormat() error {
	if r.Later == "" {
		return nil
	}
	return fmt.Errorf("entry %q is %w (%s): upgrade caib to read it", r.Tag.Name, entry.ErrLaterFormat, shorten(r.Later))
}

// manifestView is the part of a revision's manifest that a reader needs.
type manifestView struct {
	SchemaVersion int            `json:"schemaVersion"`
	MediaType     string         `json:"mediaType"`
	ArtifactType  string         `json:"artifactType"`
	Layers        []descriptor   `json:"layers"`
	Annotations   jsontext.Value `json:"annotations"` // they may be anything: they decide nothing
}

type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	Data      []byte        `json:"data"`
}

// Unpack checks that manifest is the revision that tag names, and reads it
// (SPEC section 4.3): the manifest's digest against the tag's hash, the
// embedded document against its descriptor and its schema, and name, time and
// operation of the tag against the document. Every failure is an ErrMalformed:
// the tag is not a revision, and the log is read as if it were not there.
//
// A revision of a later format version is returned with Later set: it decides
// its name, but what it says is not known.
func Unpack(tag Tag, manifest []byte) (*Revision, error) {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: revision %s: %s", entry.ErrMalformed, tag, fmt.Sprintf(format, args...))
	}
	sum := digest.FromBytes(manifest)
	if !tag.Names(sum) {
		return nil, invalid("the manifest's digest is %s", sum)
	}
	var view manifestView
	if err := json.Unmarshal(manifest, &view); err != nil {
		return nil, invalid("manifest: %v", err)
	}
	if view.MediaType != ocispec.MediaTypeImageManifest || view.SchemaVersion != 2 {
		return nil, invalid("media type %q is not that of a manifest", shorten(view.MediaType))
	}
	op, later, ok := operation(view.ArtifactType)
	if !ok || op != tag.Op {
		return nil, invalid("artifact type %q does not %s", shorten(view.ArtifactType), tag.Op)
	}
	revision := &Revision{Tag: tag, Digest: sum, Size: int64(len(manifest))}
	revision.Seen, revision.Bases = saidIn(view.Annotations)
	if later {
		// The document cannot be read, so the annotations bind name and time.
		var annotations map[string]string
		_ = json.Unmarshal(view.Annotations, &annotations) // none then
		if annotations[ocispec.AnnotationTitle] != tag.Name || annotations[ocispec.AnnotationCreated] != tag.Time().String() {
			return nil, invalid("its annotations are those of another revision")
		}
		revision.Later = view.ArtifactType
		return revision, nil
	}
	text, err := view.document()
	if err != nil {
		return nil, invalid("%v", err)
	}
	if err := revision.decode(text); err != nil {
		return nil, invalid("%v", err)
	}
	return revision, nil
}

// document returns the embedded document, checked against its descriptor.
func (m *manifestView) document() ([]byte, error) { return m.embedded(m.ArtifactType, "document") }

// embedded returns what the only layer embeds, checked against its descriptor.
func (m *manifestView) embedded(mediaType, what string) ([]byte, error) {
	if len(m.Layers) != 1 || m.Layers[0].MediaType != mediaType {
		return nil, fmt.Errorf("want exactly one layer, of type %s", mediaType)
	}
	layer := m.Layers[0]
	if layer.Size != int64(len(layer.Data)) || layer.Digest != digest.FromBytes(layer.Data) {
		return nil, fmt.Errorf("the embedded %s is not the one that its descriptor names", what)
	}
	return layer.Data, nil
}

// decode reads the document and holds it against the tag.
func (r *Revision) decode(text []byte) error {
	var name string
	var at entry.Time
	switch r.Tag.Op {
	case OpPublish:
		r.Document = new(Document)
		err := json.Unmarshal(text, r.Document)
		if err == nil && isPlainDocument(r.Document, text) {
			break
		}
		if invalid := validate(r.Tag.Op, text); invalid != nil {
			return invalid
		}
		if err != nil {
			return err
		}
	case OpRemove:
		if err := validate(r.Tag.Op, text); err != nil {
			return err
		}
		r.Removal = new(Removal)
		if err := json.Unmarshal(text, r.Removal); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a %s is not a revision", r.Tag.Op)
	}
	if r.Document != nil {
		name, at = r.Document.Name, r.Document.PublishedAt
	} else {
		name, at = r.Removal.Name, r.Removal.RemovedAt
	}
	if name != r.Tag.Name || at.UnixMilli() != r.Tag.Millis {
		return fmt.Errorf("the document is that of %s at %s", name, at)
	}
	return nil
}

// DocumentText returns the exact document of a publication's or removal's manifest, as
// PackRewrite wants it.
func DocumentText(manifest []byte) ([]byte, error) {
	var view manifestView
	if err := json.Unmarshal(manifest, &view); err != nil {
		return nil, fmt.Errorf("%w: revision manifest: %v", entry.ErrMalformed, err)
	}
	text, err := view.document()
	if err != nil {
		return nil, fmt.Errorf("%w: revision manifest: %v", entry.ErrMalformed, err)
	}
	return text, nil
}

// UnpackAttachment returns the revision manifest that an attachment carries,
// checked against its descriptor, to rebuild a catalog from (SPEC section 9).
func UnpackAttachment(manifest []byte) ([]byte, error) {
	var view manifestView
	if err := json.Unmarshal(manifest, &view); err != nil {
		return nil, fmt.Errorf("%w: attachment: %v", entry.ErrMalformed, err)
	}
	text, err := view.embedded(MediaTypeRevision, "manifest")
	if err != nil {
		return nil, fmt.Errorf("%w: attachment: %v", entry.ErrMalformed, err)
	}
	return text, nil
}

// Catalog returns the catalog that a revision says it was written in, in normal
// form; "" where it does not say, or says it in a later format.
func (r *Revision) Catalog() string {
	switch {
	case r.Document != nil:
		return r.Document.Catalog
	case r.Removal != nil:
		return r.Removal.Catalog
	}
	return ""
}

// Attachment is what a referrer of an image says of an entry (SPEC section 9).
type Attachment struct {
	Revision *Revision
	Subject  digest.Digest // the image it is beside
	Catalog  string        // that it names, as written there; "" for none
}

// ReadAttachment reads a manifest as an attachment, and the revision that it
// carries as Unpack does. One of a later format is an ErrMalformed.
func ReadAttachment(manifest []byte) (*Attachment, error) {
	text, err := UnpackAttachment(manifest)
	if err != nil {
		return nil, err
	}
	document, err := DocumentText(text)
	if err != nil {
		return nil, err
	}
	var view struct {
		Subject     descriptor     `json:"subject"`
		Annotations jsontext.Value `json:"annotations"`
	}
	var said struct {
		Name        string     `json:"name"`
		PublishedAt entry.Time `json:"publishedAt"`
		RemovedAt   entry.Time `json:"removedAt"`
	}
	var kind manifestView
	if err := errors.Join(json.Unmarshal(manifest, &view), json.Unmarshal(document, &said), json.Unmarshal(text, &kind)); err != nil {
		return nil, fmt.Errorf("%w: attachment: %v", entry.ErrMalformed, err)
	}
	at, op := said.PublishedAt, OpPublish
	if kind.ArtifactType == MediaTypeRemoval {
		at, op = said.RemovedAt, OpRemove
	}
	tag := NewTag(said.Name, at, op, digest.FromBytes(text))
	if again, ok := ParseTag(tag.String()); !ok || again != tag {
		return nil, fmt.Errorf("%w: attachment: no tag has the name %q and the time %s", entry.ErrMalformed, shorten(said.Name), at)
	}
	rev, err := Unpack(tag, text)
	if err != nil {
		return nil, err
	}
	if rev.Later != "" {
		return nil, fmt.Errorf("%w: attachment: it is of a later format", entry.ErrMalformed)
	}
	var annotations map[string]string
	_ = json.Unmarshal(view.Annotations, &annotations) // none then
	return &Attachment{Revision: rev, Subject: view.Subject.Digest, Catalog: annotations[AnnotationReference]}, nil
}

// BesideSignatures are signatures of a revision that a referrer of an image puts beside
// its attachment (SPEC section 9). They prove nothing until they are checked.
type BesideSignatures struct {
	Subject    digest.Digest    `json:"-"` // the image
	Revision   digest.Digest    `json:"revision"`
	Signatures []jsontext.Value `json:"signatures"`
}

// ReadSignatures reads a manifest that PackSignatures makes. The error is an
// ErrMalformed.
func ReadSignatures(manifest []byte) (*BesideSignatures, error) {
	var view struct {
		manifestView
		Subject descriptor `json:"subject"`
	}
	if err := json.Unmarshal(manifest, &view); err != nil {
		return nil, fmt.Errorf("%w: signatures: %v", entry.ErrMalformed, err)
	}
	text, err := view.embedded(MediaTypeSignatures, "layer")
	if err != nil {
		return nil, fmt.Errorf("%w: signatures: %v", entry.ErrMalformed, err)
	}
	beside := &BesideSignatures{Subject: view.Subject.Digest}
	if err := json.Unmarshal(text, beside); err != nil {
		return nil, fmt.Errorf("%w: signatures: %v", entry.ErrMalformed, err)
	}
	return beside, nil
}
