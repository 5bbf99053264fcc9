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

// answer is a body that is ready to be written, any number of times. The
// compressed forms are made when they are first asked for.
type answer struct {
	hash  string
	forms [encodings]form
	once  [encodings]sync.Once
}

// The forms of an answer.
const (
	identity = iota
	gzipped
	zstandard
	encodings
)

var encodingNames = [encodings]string{"", "gzip", "zstd"}

// form is an answer in one encoding, with the values of its headers.
type form struct {
	body           []byte
	length, etag   []string
	contentEncoded []string
}

// minCompressed is the least size worth compressing, in bytes.
const minCompressed = 512

var (
	jsonType     = []string{"application/json"}
	varyEncoding = []string{"Accept-Encoding"}
	staleMark    = []string{"true"}
)

func newAnswer(body []byte) *answer {
	sum := sha256.Sum256(body)
	a := &answer{hash: hex.EncodeToString(sum[:16])}
	a.forms[identity] = newForm(body, a.hash, "")
	return a
}

func newForm(body []byte, hash, encoding string) form {
	f := form{body: body, length: []string{strconv.Itoa(len(body))}, etag: []string{`"` + hash + `"`}}
	if encoding != "" {
		f.contentEncoded = []string{encoding}
		f.etag = []string{`"` + hash + "-" + encoding + `"`}
	}
	return f
}

// form returns the answer in an encoding; the plain one where that is shorter.
func (a *answer) form(encoding int) *form {
	if encoding == identity {
		return &a.forms[identity]
	}
	a.once[encoding].Do(func() {
		plain := &a.forms[identity]
		if packed := compress(encoding, plain.body); len(plain.body) >= minCompressed && len(packed) < len(plain.body) {
			a.forms[encoding] = newForm(packed, a.hash, encodingNames[encoding])
		} else {
			a.forms[encoding] = *plain
		}
	})
	return &a.forms[encoding]
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

func compress(encoding int, body []byte) []byte {
	if len(body) < minCompressed {
		return body
	}
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

// send writes an answer, or that the client has it already.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *answer) {
	f := a.form(accepted(r.Header["Accept-Encoding"]))
	header := w.Header()
	header["Etag"] = f.etag
	header["Vary"] = varyEncoding
	if s.follower.isStale() {
		header["X-Caib-Stale"] = staleMark
	}
	if known := r.Header["If-None-Match"]; len(known) > 0 && a.matches(known) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Type"] = jsonType
	header["Content-Length"] = f.length
	if f.contentEncoded != nil {
		header["Content-Encoding"] = f.contentEncoded
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body) // a client that went away needs no answer
	}
}

// matches compares weakly (RFC 9110, section 13.1.2): any form of the answer
// will do.
func (a *answer) matches(known []string) bool {
	for _, line := range known {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == "*" {
				return true
			}
			tag, _ = strings.CutSuffix(strings.TrimPrefix(tag, `"`), `"`)
			for _, encoding := range encodingNames {
				tag = strings.TrimSuffix(tag, "-"+encoding)
			}
			if tag == a.hash {
				return true
			}
		}
	}
	return false
}

// accepted chooses an encoding: zstd before gzip, and none that is refused.
func accepted(header []string) int {
	chosen := identity
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			if q := strings.TrimSpace(parameters); q == "q=0" || q == "q=0.0" || q == "q=0.00" || q == "q=0.000" {
				continue
			}
			switch strings.TrimSpace(name) {
			case "gzip":
				chosen = max(chosen, gzipped)
			case "zstd":
				chosen = zstandard
			}
		}
	}
	return chosen
}
