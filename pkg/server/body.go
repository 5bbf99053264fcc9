package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// body is the body of an answer that is ready to be written, any number of times. The
// compressed forms are made when they are first asked for.
type body struct {
	plain  form
	packed [2]packed // gzip and zstd
}

// packed is a compressed form that is made once.
type packed struct {
	once sync.Once
	form *form // the plain one, where it is shorter
}

// encoding is the form of an answer.
type encoding int

const (
	identity encoding = iota
	gzipped
	zstandard
)

var encodingNames = [...]string{identity: "", gzipped: "gzip", zstandard: "zstd"}

// The values of a Content-Encoding header.
var contentEncodings = [...][]string{identity: nil, gzipped: {"gzip"}, zstandard: {"zstd"}}

// form is an answer in one encoding.
type form struct {
	body     []byte
	encoding encoding
	headers  [2]string // the values of ETag and Content-Length
}

func (f *form) etag() []string   { return f.headers[0:1:1] }
func (f *form) length() []string { return f.headers[1:2:2] }

// minCompressed is the least size worth compressing, in bytes.
const minCompressed = 512

var (
	jsonType     = []string{"application/json"}
	varyEncoding = []string{"Accept-Encoding"}
	varyReader   = []string{"Accept-Encoding, Authorization, Cookie"}
	staleMark    = []string{"true"}
)

func newBody(text []byte) *body {
	sum := sha256.Sum256(text)
	return &body{plain: newForm(text, identity, hex.EncodeToString(sum[:hashSize]))}
}

// hashSize is as much of a body's SHA-256 as its ETag says, in bytes.
const hashSize = 16

// hash names the body: its ETag, without quotes and encoding.
func (a *body) hash() string { return a.plain.headers[0][1 : 1+2*hashSize] }

func newForm(body []byte, encoding encoding, hash string) form {
	if encoding != identity {
		hash += "-" + encodingNames[encoding]
	}
	return form{body, encoding, [2]string{`"` + hash + `"`, strconv.Itoa(len(body))}}
}

// form returns the answer in an encoding; the plain one where that is shorter.
func (a *body) form(wanted encoding) *form {
	if wanted == identity || len(a.plain.body) < minCompressed {
		return &a.plain
	}
	p := &a.packed[wanted-gzipped]
	p.once.Do(func() {
		p.form = &a.plain
		if body := compress(wanted, a.plain.body); len(body) < len(a.plain.body) {
			f := newForm(body, wanted, a.hash())
			p.form = &f
		}
	})
	return p.form
}

var (
	gzips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zstds = sync.OnceValue(func() *zstd.Encoder {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("server: " + err.Error()) // only options out of range
		}
		return encoder
	})
)

func compress(encoding encoding, body []byte) []byte {
	if encoding == zstandard {
		return zstds().EncodeAll(body, make([]byte, 0, len(body)/3))
	}
	var packed bytes.Buffer
	writer := gzips.Get().(*gzip.Writer)
	defer gzips.Put(writer)
	writer.Reset(&packed)
	_, _ = writer.Write(body) // a buffer takes everything
	_ = writer.Close()
	return packed.Bytes()
}

// respond writes an object that is not kept.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, status int, value any) {
	if texts := warnings(r); len(texts) > 0 {
		value = withWarnings(value, texts)
	}
	text, err := marshal(value)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that went away needs no answer
	}
}

// matches compares weakly (RFC 9110, section 13.1.2).
func (f *form) matches(known []string) bool {
	for _, line := range known {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == "*" || tag == f.headers[0] {
				return true
			}
		}
	}
	return false
}

// accepted chooses the encoding that the client likes best (RFC 9110, section
// 12.5.3); of those that it likes alike, zstd before gzip, and gzip before none.
func accepted(header []string) encoding {
	if len(header) == 0 {
		return identity
	}
	const unsaid = -1
	quality := [...]float64{identity: unsaid, gzipped: unsaid, zstandard: unsaid}
	others := float64(unsaid)
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			q := 1.0
			if key, value, found := strings.Cut(parameters, "="); found && strings.EqualFold(strings.TrimSpace(key), "q") {
				var err error
				if q, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil || !(0 <= q && q <= 1) {
					q = 0 // it makes no sense, so it asks for nothing
				}
			}
			switch name = strings.TrimSpace(name); {
			case name == "*":
				others = q
			case strings.EqualFold(name, "identity"):
				quality[identity] = q
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
				quality[gzipped] = q
			case strings.EqualFold(name, "zstd"):
				quality[zstandard] = q
			}
		}
	}
	chosen, best := identity, 0.0
	for e, q := range quality {
		if q == unsaid {
			q = others
		}
		if q > 0 && q >= best {
			chosen, best = encoding(e), q
		}
	}
	return chosen
}
