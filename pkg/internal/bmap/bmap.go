// Package bmap reads the block maps of disk images that bmaptool makes, versions 1.4
// and 2: which ranges of an image hold something, and what their digests are.
//
//	m, err := bmap.Parse(text)
//	w := m.NewWriter(device)
//	_, err = io.Copy(w, image)
//	err = w.End()
//
// A map says nothing about who made it: the text is to be verified first.
package bmap

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// MaxSize bounds the text of a map, in bytes.
const MaxSize = 16 << 20

const (
	maxDepth  = 8   // of elements
	maxText   = 256 // of an element that is read
	maxRanges = MaxSize / 64
	minBlock  = 512
	maxBlock  = 64 << 20
)

// ErrMalformed: a map is none, or not that of the image. It is an
// entry.ErrMalformed.
var ErrMalformed error = malformed{}

type malformed struct{}

func (malformed) Error() string        { return "malformed" }
func (malformed) Is(target error) bool { return target == entry.ErrMalformed }

// Map says which ranges of an image hold something.
type Map struct {
	size   int64
	ranges []span
}

// span is a range, from its first byte to the one behind its last, and its digest.
type span struct {
	from, to int64
	sum      [sha256.Size]byte
}

// Size is how long the image is, in bytes.
func (m *Map) Size() int64 { return m.size }

// Mapped is how much of the image holds something, in bytes.
func (m *Map) Mapped() (bytes int64) {
	for _, r := range m.ranges {
		bytes += r.to - r.from
	}
	return bytes
}

// parser takes a map apart.
type parser struct {
	path   []string // of elements, from the root
	text   strings.Builder
	chksum string            // of the range that is read
	values map[string]string // of elements below the root
	ranges [][2]string       // and their digests
}

// read are the elements that are read, and no text but theirs is kept.
var read = []string{
	"bmap/ImageSize", "bmap/BlockSize", "bmap/BlocksCount", "bmap/MappedBlocksCount",
	"bmap/ChecksumType", "bmap/BmapFileChecksum", rangePath,
}

const (
	rangePath   = "bmap/BlockMap/Range"
	versionPath = "bmap@version"
)

// Parse reads a map. What is none, or contradicts itself, is an ErrMalformed.
func Parse(text []byte) (*Map, error) {
	m, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: bmap: %w", ErrMalformed, err)
	}
	return m, nil
}

func parse(text []byte) (*Map, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("more than %d bytes", MaxSize)
	}
	p := &parser{values: map[string]string{}}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.take(token)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(p.path) > 0 {
		return nil, fmt.Errorf("the element %s does not end", p.path[len(p.path)-1])
	}
	if err := p.checkText(text); err != nil {
		return nil, err
	}
	return p.build()
}

// take takes the next piece of the text.
func (p *parser) take(token xml.Token) error {
	switch token := token.(type) {
	case xml.Directive:
		return errors.New("it declares a document type")
	case xml.StartElement:
		return p.start(token)
	case xml.CharData:
		if slices.Contains(read, strings.Join(p.path, "/")) {
			p.text.Write(token)
		}
		if p.text.Len() > maxText {
			return fmt.Errorf("the element %s is too long", p.path[len(p.path)-1])
		}
	case xml.EndElement:
		if len(p.path) == 0 || p.path[len(p.path)-1] != token.Name.Local {
			return fmt.Errorf("the element %q ends where it does not begin", token.Name.Local)
		}
		return p.end()
	}
	return nil
}

func (p *parser) start(token xml.StartElement) error {
	if len(p.path) == 0 && (token.Name.Local != "bmap" || p.values[versionPath] != "") {
		return fmt.Errorf("the element %q, where a bmap is expected", token.Name.Local)
	}
	if len(p.path) == maxDepth {
		return errors.New("elements in elements without end")
	}
	p.path = append(p.path, token.Name.Local)
	p.text.Reset()
	p.chksum = ""
	for _, attribute := range token.Attr {
		switch strings.Join(p.path, "/") + "@" + attribute.Name.Local {
		case versionPath:
			if version := attribute.Value; version != "1.4" && !strings.HasPrefix(version, "2.") {
				return fmt.Errorf("version %q, where 2.0 can be read", version)
			}
			p.values[versionPath] = attribute.Value
		case rangePath + "@chksum":
			p.chksum = attribute.Value
		}
	}
	if p.values[versionPath] == "" {
		return errors.New("it has no version")
	}
	return nil
}

func (p *parser) end() error {
	path, text := strings.Join(p.path, "/"), strings.TrimSpace(p.text.String())
	p.path = p.path[:len(p.path)-1]
	p.text.Reset()
	switch {
	case path == rangePath && len(p.ranges) == maxRanges:
		return fmt.Errorf("more than %d ranges", maxRanges)
	case path == rangePath:
		p.ranges = append(p.ranges, [2]string{text, p.chksum})
	case slices.Contains(read, path):
		if _, again := p.values[path]; again {
			return fmt.Errorf("the element %s is there twice", path)
		}
		p.values[path] = text
	}
	return nil
}

// checkText compares the text with its own digest, which is that of the text with
// zeros in its place.
func (p *parser) checkText(text []byte) error {
	if kind := p.values["bmap/ChecksumType"]; kind != "sha256" {
		return fmt.Errorf("digests of type %q, where sha256 can be checked", kind)
	}
	own := p.values["bmap/BmapFileChecksum"]
	if len(own) != 2*sha256.Size {
		return fmt.Errorf("it has the digest %q of its own", own)
	}
	sum := sha256.Sum256(bytes.Replace(text, []byte(own), bytes.Repeat([]byte{'0'}, len(own)), 1))
	if !strings.EqualFold(own, hex.EncodeToString(sum[:])) {
		return errors.New("its own digest is another one")
	}
	return nil
}

func (p *parser) number(name string) (int64, error) {
	value, err := strconv.ParseInt(p.values["bmap/"+name], 10, 64)
	if err != nil || value < 0 {
		return 0, fmt.Errorf("%s is %q, where a number is expected", name, p.values["bmap/"+name])
	}
	return value, nil
}

// build makes a map of what was read.
func (p *parser) build() (*Map, error) {
	var numbers [4]int64
	for i, name := range []string{"ImageSize", "BlockSize", "BlocksCount", "MappedBlocksCount"} {
		var err error
		if numbers[i], err = p.number(name); err != nil {
			return nil, err
		}
	}
	size, block, count, mapped := numbers[0], numbers[1], numbers[2], numbers[3]
	if block < minBlock || block > maxBlock || block&(block-1) != 0 {
		return nil, fmt.Errorf("blocks of %d bytes", block)
	}
	if size > math.MaxInt64-block || count != (size+block-1)/block {
		return nil, fmt.Errorf("%d blocks of %d bytes, where the image has %d", count, block, size)
	}
	m := &Map{size: size}
	next := int64(0)
	for _, r := range p.ranges {
		first, last, err := blocks(r[0])
		if err != nil {
			return nil, err
		}
		if first < next || last < first || last >= count {
			return nil, fmt.Errorf("the range %q is behind the one before it, or not within %d blocks", r[0], count)
		}
		next = last + 1
		mapped -= next - first
		s := span{from: first * block, to: min(next*block, size)}
		if n, err := hex.Decode(s.sum[:], []byte(r[1])); len(r[1]) != 2*sha256.Size || err != nil || n != sha256.Size {
			return nil, fmt.Errorf("the range %q has the digest %q", r[0], r[1])
		}
		m.ranges = append(m.ranges, s)
	}
	if mapped != 0 {
		return nil, fmt.Errorf("its ranges do not have the %d blocks that it says", numbers[3])
	}
	return m, nil
}

// blocks reads a range: a block, or the first and the last one.
func blocks(text string) (first, last int64, err error) {
	from, to, two := strings.Cut(text, "-")
	if !two {
		to = from
	}
	first, err = strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	if err == nil {
		last, err = strconv.ParseInt(strings.TrimSpace(to), 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("the range %q is none", text)
	}
	return first, last, nil
}
