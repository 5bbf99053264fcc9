package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// layoutIndex is an index.json. Each descriptor is kept as the text that was
// read, so that what other programs wrote there is not lost, and a change costs
// no decoding of the others.
type layoutIndex struct {
	head, tail string     // what comes before the first descriptor and after the last
	listed     []listing  // in order; a removed one is zero, so that positions stay
	count      int        // without the removed ones
	size       int64      // of the whole text, in bytes
	tags       positionOf // by tag
	digests    positionOf // by digest
	scanned    int        // Referrers has read the manifests up to this position
}

// listing is one descriptor.
type listing struct {
	text   string // JSON
	tag    string // "" if it has none
	digest string
}

// set makes the listing that of a descriptor's text. What is not text there has
// no name or no digest, and is listed all the same.
func (l *listing) set(text string) error {
	var head struct {
		Digest      string
		Annotations map[string]string
	}
	err := decodeLeniently(text, &head)
	if err == nil && text[0] != '{' && text != "null" {
		err = errors.New("it is not a JSON object")
	}
	*l = listing{text, within(text, head.Annotations[ocispec.AnnotationRefName]), within(text, head.Digest)}
	return err
}

// indexEdit is a change to an index.
type indexEdit struct {
	removed []int    // positions
	added   *listing // behind the others; nil for none
}

// emptyIndex is the index of a layout that does not exist yet.
func emptyIndex(ctx context.Context) (*layoutIndex, error) {
	text, err := skeleton(&ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex})
	if err != nil {
		return nil, err
	}
	return parseIndex(ctx, text, defaultBounds())
}

// skeleton is the text of an index without its manifests.
func skeleton(index *ocispec.Index) (string, error) {
	index.Manifests = []ocispec.Descriptor{}
	text, err := json.Marshal(index)
	return string(text), err
}

// parseIndex reads the text of an index.json. Errors of the text have no kind.
func parseIndex(ctx context.Context, text string, bounds layoutBounds) (*layoutIndex, error) {
	x := &layoutIndex{tags: newPositions(), digests: newPositions()}
	var err error
	x.head, x.tail, err = scanIndex(text, func(element string) error {
		if len(x.listed)%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := bounds.checkIndex(0, len(x.listed)+1); err != nil {
			return err
		}
		if int64(len(element)) > bounds.manifest {
			return fmt.Errorf("a descriptor of %d bytes, more than the %d allowed", len(element), bounds.manifest)
		}
		var l listing
		if err := l.set(element); err != nil {
			return fmt.Errorf("descriptor %d: %w", len(x.listed), err)
		}
		x.add(l)
		return nil
	})
	if err == nil {
		err = x.surround(text, bounds)
	}
	return x, err
}

// surround checks what is around the descriptors. Where there is no array
// of them, as in a null one, it makes one.
func (x *layoutIndex) surround(text string, bounds layoutBounds) error {
	around := x.head + x.tail
	missing := around == ""
	if missing {
		around = text
	}
	if int64(len(around)) > bounds.manifest {
		return fmt.Errorf("%d bytes beside the manifests, more than the %d allowed", len(around), bounds.manifest)
	}
	var index ocispec.Index
	if err := decodeLeniently(around, &index); err != nil {
		return err
	}
	var other struct{ Manifests []json.RawMessage } // in another spelling, which decoders take too
	if decode(around, &other) != nil || len(other.Manifests) > 0 {
		return errSyntax
	}
	if missing {
		text, err := skeleton(&index)
		if err != nil {
			return err
		}
		if x.head, x.tail, err = scanIndex(text, nil); err != nil {
			return err
		}
	}
	x.size += int64(len(x.head) + len(x.tail))
	return nil
}

func (x *layoutIndex) add(l listing) {
	at := len(x.listed)
	x.listed = append(x.listed, l)
	x.tags.add(l.tag, at)
	x.digests.add(l.digest, at)
	x.size += int64(len(l.text))
	if x.count > 0 {
		x.size++ // the comma
	}
	x.count++
}

// withDigest returns the first descriptor with a digest.
func (x *layoutIndex) withDigest(digest string) (listing, bool) {
	at, ok := x.digests.first[digest]
	if !ok {
		return listing{}, false
	}
	return x.listed[at], true
}

// put is the edit that lists a descriptor, nil where it is listed already. A tag
// moves to it. A manifest that was listed by its digest alone is from then on
// listed by the tag: each takes its part of the bound.
func (x *layoutIndex) put(d ocispec.Descriptor) (*indexEdit, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	d.Annotations = nil
	untagged, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var added listing
	if err := added.set(string(text)); err != nil {
		return nil, err
	}
	removed := x.tags.all(added.tag)
	for _, at := range x.digests.all(added.digest) {
		switch {
		case added.tag == "" && !referrertag.IsKeep(x.listed[at].tag), x.listed[at].tag == added.tag:
			return nil, nil
		case x.listed[at].text == string(untagged) && !referrertag.IsKeep(added.tag):
			removed = append(removed, at)
		}
	}
	return &indexEdit{removed: removed, added: &added}, nil
}

// changed returns the size in bytes and the number of descriptors that the
// index has after an edit.
func (x *layoutIndex) changed(e *indexEdit) (size int64, count int) {
	size, count = x.size-int64(max(x.count-1, 0)), x.count // without the commas
	for _, at := range e.removed {
		size, count = size-int64(len(x.listed[at].text)), count-1
	}
	if e.added != nil {
		size, count = size+int64(len(e.added.text)), count+1
	}
	return size + int64(max(count-1, 0)), count
}

// write writes the index as it is after an edit.
func (x *layoutIndex) write(w io.Writer, e *indexEdit) error {
	_, err := io.WriteString(w, x.head)
	comma := ""
	put := func(text string) {
		for _, part := range []string{comma, text} {
			if err == nil {
				_, err = io.WriteString(w, part)
			}
		}
		comma = ","
	}
	for at, l := range x.listed {
		if l.text != "" && !slices.Contains(e.removed, at) {
			put(l.text)
		}
	}
	if e.added != nil {
		put(e.added.text)
	}
	if err == nil {
		_, err = io.WriteString(w, x.tail)
	}
	return err
}

// apply makes an edit.
func (x *layoutIndex) apply(e *indexEdit) {
	x.size, x.count = x.changed(e)
	for _, at := range e.removed {
		x.tags.remove(x.listed[at].tag, at)
		x.digests.remove(x.listed[at].digest, at)
		x.listed[at] = listing{}
	}
	if e.added != nil {
		size, count := x.size, x.count
		x.add(*e.added)
		x.size, x.count = size, count
	}
}

// tagNames returns the tags, each once. They do not keep the index in memory.
func (x *layoutIndex) tagNames() []string {
	names := make([]string, 0, len(x.tags.first))
	for at, l := range x.listed {
		if first, ok := x.tags.first[l.tag]; ok && first == at {
			names = append(names, strings.Clone(l.tag))
		}
	}
	return names
}

// descriptor decodes a listed descriptor, as far as it is one.
func (l listing) descriptor() (ocispec.Descriptor, error) {
	var d ocispec.Descriptor
	if err := decodeLeniently(l.text, &d); err != nil {
		return d, fmt.Errorf("%w: %s: %v", entry.ErrUnreachable, ocispec.ImageIndexFile, err)
	}
	return d, nil
}

// decodeLeniently decodes JSON of which other programs have written parts that
// are not of the type that the specification has for them: those are left out.
// Only text that is no JSON is an error.
func decodeLeniently(text string, into any) error {
	err := decode(text, into)
	if err == nil || json.Valid([]byte(text)) {
		return nil
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// positionOf finds what is listed under a key, which is not empty.
type positionOf struct {
	first map[string]int
	more  map[string][]int // beside the first, ascending
}

func newPositions() positionOf { return positionOf{map[string]int{}, map[string][]int{}} }

func (p positionOf) add(key string, at int) {
	if key == "" {
		return
	}
	if _, ok := p.first[key]; ok {
		p.more[key] = append(p.more[key], at)
	} else {
		p.first[key] = at
	}
}

func (p positionOf) all(key string) []int {
	first, ok := p.first[key]
	if !ok {
		return nil
	}
	return append([]int{first}, p.more[key]...)
}

func (p positionOf) remove(key string, at int) {
	left := slices.DeleteFunc(p.all(key), func(other int) bool { return other == at })
	delete(p.first, key)
	delete(p.more, key)
	for _, at := range left {
		p.add(key, at)
	}
}
