package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// HEAD saves the body, and is what registries and the storages behind them get
// wrong: whatever it answers but a clean 200 or 404 is asked again by GET.

// errUnclear is an answer to HEAD that says nothing.
var errUnclear = errors.New("the answer to HEAD is unclear")

// Resolve implements Repository.
func (r *remoteRepository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	descriptor, err := r.resolve(ctx, reference)
	return descriptor, r.classify(ctx, "resolve "+r.named(reference), err)
}

func (e *endpoint) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	response, err := e.head(ctx, question{path: "manifests/" + reference, header: http.Header{"Accept": {manifestTypes}}})
	if err == nil {
		var descriptor ocispec.Descriptor
		if descriptor, err = described(response, reference); err == nil {
			return descriptor, nil
		}
	}
	if e.askAgain(ctx, err) {
		descriptor, _, err := e.manifest(ctx, reference)
		return descriptor, err
	}
	return ocispec.Descriptor{}, err
}

// head asks by HEAD. A 404 is a refusal; any other answer is an error unless it
// is a 200.
func (e *endpoint) head(ctx context.Context, q question) (*http.Response, error) {
	q.method = http.MethodHead
	response, err := e.ask(ctx, q, http.StatusOK)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// askAgain reports whether GET may say more than HEAD did.
func (e *endpoint) askAgain(ctx context.Context, err error) bool {
	var dial *net.OpError
	var own *credentialError
	var answer *refusal
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &own), errors.Is(err, entry.ErrMalformed):
		return false
	case errors.As(err, &dial) && dial.Op == "dial":
		return false
	case errors.As(err, &answer):
		return answer.status != http.StatusNotFound || answer.page || !e.isAPI(answer.url)
	}
	return true
}

// described is the descriptor that a clean answer to HEAD holds.
func described(response *http.Response, reference string) (ocispec.Descriptor, error) {
	mediaType, size := saidKind(response.Header), response.ContentLength
	found, err := digest.Parse(response.Header.Get("Docker-Content-Digest"))
	wanted, unless := digest.Parse(reference)
	switch {
	case size <= 0 || mediaType == "":
		return ocispec.Descriptor{}, errUnclear
	case response.Header.Get("Docker-Content-Digest") == "" && unless == nil:
		found = wanted
	case err != nil, unless == nil && found != wanted:
		return ocispec.Descriptor{}, errUnclear
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: found, Size: size}, nil
}

// StatBlob implements Repository.
func (r *remoteRepository) StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error {
	return r.classify(ctx, "look for "+r.named(descriptor.Digest.String()), r.statBlob(ctx, descriptor))
}

// statBlob accuses nobody on HEAD's word alone: what is not a blob of the right
// size is asked again by GET, of which one byte is wanted. Nor does it on the
// word of that answer, since registries and caches get ranges wrong too: what
// counts is how a plain GET begins.
func (e *endpoint) statBlob(ctx context.Context, descriptor ocispec.Descriptor) error {
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, descriptor.Digest, err)
	}
	response, err := e.head(ctx, question{path: "blobs/" + descriptor.Digest.String(), header: http.Header{"Accept-Encoding": {"identity"}}})
	if err == nil && response.ContentLength == descriptor.Size && mediaTypeOf(response.Header) != "text/html" {
		return nil
	}
	if err != nil && !e.askAgain(ctx, err) && status(err) != http.StatusNotFound {
		return err
	}
	size, err := e.blobSize(ctx, descriptor, true)
	if err == nil && size == descriptor.Size {
		return nil
	}
	if err == nil || mayBeRange(err) {
		size, err = e.blobSize(ctx, descriptor, false)
	}
	if err == nil && size >= 0 && size != descriptor.Size {
		return wrongSize(size, descriptor.Size)
	}
	return err
}

// mayBeRange reports whether a request may have been refused because it asked
// for a range.
func mayBeRange(err error) bool {
	refused := status(err)
	return refused >= 400 && refused < 500 && refused != http.StatusTooManyRequests || refused == http.StatusNotImplemented
}

// blobSize asks for a blob by GET, for its first byte alone or for all of it,
// of which no more is read than tells a blob from an error. It returns the
// blob's size; -1 is unknown.
func (e *endpoint) blobSize(ctx context.Context, descriptor ocispec.Descriptor, ranged bool) (int64, error) {
	part := ""
	if ranged {
		part = "bytes=0-0"
	}
	response, err := e.getBlob(ctx, descriptor.Digest, part)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close() // not read to its end: the connection is given up
	size := saidSize(response)
	if !ranged && size != descriptor.Size && isAnotherObject(response, descriptor.Digest) {
		return 0, fmt.Errorf("%w: the answer is JSON, and not the blob", entry.ErrUnreachable)
	}
	return size, nil
}

// getBlob asks for a blob, or for a part of it, by GET: "" is all of it. The caller
// closes the body.
func (e *endpoint) getBlob(ctx context.Context, d digest.Digest, part string) (*http.Response, error) {
	header := http.Header{"Accept-Encoding": {"identity"}}
	if part != "" {
		header.Set("Range", part)
	}
	response, err := e.ask(ctx, question{method: http.MethodGet, path: "blobs/" + d.String(), header: header}, http.StatusOK, http.StatusPartialContent)
	if err == nil && mediaTypeOf(response.Header) == "text/html" {
		response.Body.Close()
		return nil, fmt.Errorf("%w: the answer is an HTML page", entry.ErrUnreachable)
	}
	return response, err
}

// saidSize is the size of a whole blob as the headers of an answer say it; -1
// where they do not, or not of its own bytes.
func saidSize(response *http.Response) int64 {
	encoding, part := strings.ToLower(response.Header.Get("Content-Encoding")), response.Header.Get("Content-Range")
	switch {
	case encoding != "" && encoding != "identity":
		return -1
	case response.StatusCode == http.StatusOK && part == "":
		return response.ContentLength
	case response.StatusCode == http.StatusOK:
		return -1 // all of it, or a part?
	}
	_, total, _ := strings.Cut(part, "/")
	size, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
	if err != nil || size < 0 {
		return -1
	}
	return size
}

// maxWords bounds what is read of an answer to see whether it is an error, in
// bytes.
const maxWords = 64 << 10

// isAnotherObject reports whether the body of an answer is a JSON object other
// than the blob that was asked for: some registries say in one, with status 200,
// why there is no blob.
func isAnotherObject(response *http.Response, blob digest.Digest) bool {
	if response.ContentLength > maxWords {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxWords))
	var object map[string]json.RawMessage
	return err == nil && json.Unmarshal(body, &object) == nil && object != nil && blob.Algorithm().FromBytes(body) != blob
}

func wrongSize(got, want int64) error {
	return fmt.Errorf("%w: a blob of %d bytes, where its manifest says %d", entry.ErrMalformed, got, want)
}
