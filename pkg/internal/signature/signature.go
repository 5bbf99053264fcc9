package signature

import (
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// Format is a way to store signatures.
type Format string

// The formats.
const (
	Bundle Format = "bundle" // a sigstore bundle in a referrer: cosign 3's
	Legacy Format = "legacy" // a layer under the tag sha256-….sig: cosign 2's
)

// Bounds on what others stored.
const (
	maxSignature    = 1 << 20 // bytes of one signature with all that proves it
	MaxSignatures   = 32      // signatures of one digest that are checked
	maxReferrers    = 256     // referrers of one digest among which they are looked for
	maxCertificates = 8       // of one signature
	maxEntries      = 8       // log entries, and timestamps, of one signature
)

const (
	bundleFamily   = "application/vnd.dev.sigstore.bundle"
	mediaTypeV01   = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	mediaTypeV03   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	mediaTypeSaved = "application/vnd.caib.catalog.simplesigning.v1+json"
	typeInToto     = "application/vnd.in-toto+json"
	typeStatement  = "https://in-toto.io/Statement/v1"
	typeStatement0 = "https://in-toto.io/Statement/v0.1"
	PredicateType  = "https://sigstore.dev/cosign/sign/v1"
)

// Signature is one stored signature, in a form that a snapshot can carry: a
// sigstore bundle, or a legacy signature in an object of its own (SPEC section
// 14). It proves nothing before it was checked.
type Signature struct {
	Format Format
	text   []byte                   // JSON
	parsed func() (*Content, error) // once; nil parses each time
}

// New makes a signature of its JSON text, which is not parsed yet.
func New(format Format, text []byte) Signature {
	parse := parseBundle
	if format == Legacy {
		parse = parseLegacy
	}
	return Signature{format, text, sync.OnceValues(func() (*Content, error) { return parse(text) })}
}

// JSON returns the form that Parse reads; read-only.
func (s Signature) JSON() []byte { return s.text }

// Parse reads what JSON returned, or a sigstore bundle. ok is false
// for what is neither; it may be of a later version.
func Parse(text []byte) (s Signature, ok bool) {
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if len(text) > maxSignature || json.Unmarshal(text, &head) != nil {
		return Signature{}, false
	}
	switch {
	case head.MediaType == mediaTypeSaved:
		return New(Legacy, text), true
	case isBundleType(head.MediaType):
		return New(Bundle, text), true
	}
	return Signature{}, false
}

func isBundleType(mediaType string) bool {
	return len(mediaType) >= len(bundleFamily) && mediaType[:len(bundleFamily)] == bundleFamily
}

// Shorten cuts a text that others wrote to what fits into a message.
func Shorten(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}

// Printable makes one short line of what others wrote.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f {
			return '?'
		}
		return r
	}, Shorten(text))
}
