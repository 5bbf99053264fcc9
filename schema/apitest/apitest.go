// Package apitest checks requests to an index server, and its answers, against
// the description of the HTTP API (schema/openapi.yaml). It is for tests, ours
// and those of other servers:
//
//	if err := apitest.Check(exchange); err != nil { t.Error(err) }
//
// or, for clients that are not one's own, a proxy that checks what passes:
//
//	proxy := httptest.NewServer(apitest.Proxy(target, func(err error) { t.Error(err) }))
package apitest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/klauspost/compress/zstd"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/schema"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method string
	URL    *url.URL // path and query count
	Body   []byte   // of the request
	Status int
	Header http.Header // of the answer
	Answer []byte      // its body
}

// description is schema/openapi.yaml, with the schemas in it as they are needed.
type description struct {
	document map[string]any
	compiled sync.Map // of string, a JSON pointer: *jsonschema.Resolved
}

var described = sync.OnceValues(func() (*description, error) {
	text, err := schema.Files.ReadFile(schema.OpenAPI)
	if err != nil {
		return nil, err
	}
	d := &description{}
	return d, yaml.Unmarshal(text, &d.document)
})

// Check reports what the description does not say of an exchange: a path or a
// method that is answered, a parameter of query or path, body or member that is
// taken, a status, a header that is missing, a media type, and all of a JSON
// body, compressed or not. It is safe
// for concurrent use.
func Check(e Exchange) error {
	d, err := described()
	if err != nil {
		return err
	}
	if err := d.check(e); err != nil {
		return fmt.Errorf("%s %s: %d: %w", e.Method, e.URL.RequestURI(), e.Status, err)
	}
	return nil
}

// CheckSchema checks a JSON text against a schema of the description's
// components.
func CheckSchema(name string, text []byte) error {
	d, err := described()
	if err != nil {
		return err
	}
	return d.matches((&node{value: d.document}).child("components").child("schemas").child(name), text)
}

func (d *description) check(e Exchange) error {
	at, parameters, parts := d.find(e.Method, e.URL.Path)
	if at == nil {
		if e.Status < 400 {
			return fmt.Errorf("the operation is not described")
		}
		return nil
	}
	if e.Status < 400 {
		query, err := url.ParseQuery(e.URL.RawQuery)
		if err != nil {
			return err
		}
		if err := errors.Join(d.parameters(parameters, "query", query), d.parameters(parameters, "path", parts)); err != nil {
			return err
		}
		if err := d.request(at, e.Body); err != nil {
			return err
		}
	}
	response := d.follow(at.child("responses").child(strconv.Itoa(e.Status)))
	if response == nil {
		return fmt.Errorf("the status is not described")
	}
	for name := range response.child("headers").object() {
		if e.Header.Get(name) == "" {
			return fmt.Errorf("there is no header %s", name)
		}
	}
	return d.body(response, e)
}

// request checks a body against the operation. A body that none is described for
// means nothing.
func (d *description) request(at *node, body []byte) error {
	content := at.child("requestBody")
	if content == nil {
		return nil
	}
	return d.matches(content.child("content").child("application/json").child("schema"), body)
}

// body checks an answer against what is described of its status.
func (d *description) body(response *node, e Exchange) error {
	content := response.child("content")
	mediaType, _, _ := strings.Cut(e.Header.Get("Content-Type"), ";")
	switch {
	case content == nil && len(e.Answer) > 0:
		return fmt.Errorf("a body where none is described: %.100s", e.Answer)
	case content == nil:
		return nil
	case content.child(mediaType) == nil:
		return fmt.Errorf("media type %q is not described", mediaType)
	case mediaType != "application/json" || e.Method == http.MethodHead:
		return nil
	}
	text, err := unpacked(e.Header.Get("Content-Encoding"), e.Answer)
	if err != nil {
		return err
	}
	return d.matches(content.child(mediaType).child("schema"), text)
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 256 << 20

// unpacked takes a body out of its encoding.
func unpacked(encoding string, body []byte) ([]byte, error) {
	packed := bytes.NewReader(body)
	var plain io.Reader
	var err error
	switch encoding {
	case "":
		return body, nil
	case "gzip":
		plain, err = gzip.NewReader(packed)
	case "zstd":
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1)); err == nil {
			defer decoder.Close()
			plain = decoder
		}
	default:
		err = fmt.Errorf("encoding %q is not described", encoding)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(plain, maxAnswer))
}

// matches checks a JSON text against a schema.
func (d *description) matches(at *node, text []byte) error {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&value)
	if _, more := decoder.Token(); err == nil && more != io.EOF {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return fmt.Errorf("%w: %.100s", err, text)
	}
	return d.valid(at, value)
}

func (d *description) valid(at *node, value any) error {
	if known, ok := d.compiled.Load(at.pointer); ok {
		return known.(*jsonschema.Resolved).Validate(value)
	}
	compiled, err := d.compile(at)
	if err != nil {
		return fmt.Errorf("schema %s: %w", at.pointer, err)
	}
	d.compiled.Store(at.pointer, compiled)
	return compiled.Validate(value)
}

// compile makes a schema by itself of one in the description: with the
// components, to which all references are, as its definitions.
func (d *description) compile(at *node) (*jsonschema.Resolved, error) {
	whole := map[string]any{"allOf": []any{at.value}, "$defs": (&node{value: d.document}).child("components").child("schemas").object()}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte(`"#/components/schemas/`), []byte(`"#/$defs/`))
	var parsed jsonschema.Schema
	if err := json.Unmarshal(text, &parsed); err != nil {
		return nil, err
	}
	return parsed.Resolve(nil)
}
