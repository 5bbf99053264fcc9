package registry

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

const (
	// maxHeld is the largest blob that is held in memory while it is copied, in bytes.
	maxHeld = 1 << 20
	// copyAttempts bounds how often a blob is sent to a registry that breaks off.
	copyAttempts = 4
)

// CopyBlob implements Repository.
func (r *remoteRepository) CopyBlob(ctx context.Context, descriptor ocispec.Descriptor, from Repository) (moved int64, err error) {
	err = checkOffset(descriptor, 0)
	if err == nil {
		moved, err = r.copyBlob(ctx, descriptor, from)
	}
	return moved, r.classify(ctx, "copy to "+r.named(descriptor.Digest.String()), err)
}

func (r *remoteRepository) copyBlob(ctx context.Context, descriptor ocispec.Descriptor, from Repository) (int64, error) {
	if r.hasBlob(ctx, descriptor) {
		return 0, nil
	}
	session, mounted := r.mount(ctx, descriptor, from)
	if mounted {
		return 0, nil
	}
	for attempt := 1; ; {
		err := r.transfer(ctx, session, descriptor, from)
		var source *sourceError
		switch {
		case err == nil:
			return descriptor.Size, nil
		case ctx.Err() != nil:
			return 0, err
		case errors.As(err, &source):
			if !rejected(ctx, from, descriptor.Digest, source.error) {
				return 0, source.error
			}
		case attempt == copyAttempts || !mayBeSentAnew(err):
			return 0, err
		default:
			if err := pause.For(ctx, jitter(min(r.backoff<<attempt, maxBackoff))); err != nil {
				return 0, err
			}
			if r.hasBlob(ctx, descriptor) { // the answer was lost
				return descriptor.Size, nil
			}
			attempt++
		}
		session = nil
	}
}

// sourceError is why a blob cannot be read where it is copied from.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// rejected reports whether a source that has sent what is not right has other places to
// ask.
func rejected(ctx context.Context, from Repository, d digest.Digest, reason error) bool {
	places, ok := reach[interface {
		Reject(context.Context, digest.Digest, error) bool
	}](from)
	return ok && errors.Is(reason, entry.ErrMalformed) && places.Reject(ctx, d, reason)
}

// mayBeSentAnew reports whether a new upload may do what one did not: there was no
// usable answer, or one that is about the session, the token or the moment.
func mayBeSentAnew(err error) bool {
	switch refused := status(err); refused {
	case 0:
		var exchange *exchangeError
		return errors.As(err, &exchange) && !settled(err)
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict,
		http.StatusRequestedRangeNotSatisfiable, http.StatusTooManyRequests:
		return true
	default:
		return refused >= 500 && refused != http.StatusNotImplemented
	}
}

// hasBlob reports whether a blob is known to be there.
func (e *endpoint) hasBlob(ctx context.Context, descriptor ocispec.Descriptor) bool {
	response, err := e.head(ctx, question{path: "blobs/" + descriptor.Digest.String(), header: http.Header{"Accept-Encoding": {"identity"}}})
	switch {
	case err == nil && response.ContentLength == descriptor.Size && mediaTypeOf(response.Header) != "text/html":
		return true
	case status(err) == http.StatusNotFound && !e.askAgain(ctx, err), ctx.Err() != nil:
		return false
	}
	return e.statBlob(ctx, descriptor) == nil
}

// mount has the registry take a blob over from another repository of its own. If it
// does not, it begins an upload, where session is nil if that is not known. What it
// refuses is not asked for again from there: the plain upload shows what is wrong.
func (r *remoteRepository) mount(ctx context.Context, descriptor ocispec.Descriptor, from Repository) (session *url.URL, mounted bool) {
	other := r.beside(from)
	if other == "" {
		return nil, false
	}
	key := r.host + "/" + r.repository + "<" + other
	if r.unmounted.Contains(key) {
		return nil, false
	}
	query := url.Values{"mount": {descriptor.Digest.String()}, "from": {other}}
	response, err := r.write(ctx, question{method: http.MethodPost, path: "blobs/uploads/?" + query.Encode(), body: []byte{}, from: other})
	switch {
	case err != nil:
		if refused := status(err); refused >= 400 && refused < 500 && refused != http.StatusTooManyRequests {
			r.unmounted.Add(key, true)
		}
		return nil, false
	case response.StatusCode == http.StatusAccepted:
		session, _ = r.session(response)
		return session, false
	}
	return nil, r.hasBlob(ctx, descriptor) || pause.For(ctx, jitter(r.backoff)) == nil && r.hasBlob(ctx, descriptor)
}

// beside returns the other repository of the same registry that another one is, or
// has among its places; "" is none.
func (r *remoteRepository) beside(from Repository) string {
	var all []Repository
	if m, ok := reach[*mirrored](from); ok {
		for _, place := range m.places {
			all = append(all, place.repository)
		}
	} else {
		all = []Repository{from}
	}
	for _, one := range all {
		other, ok := reach[*remoteRepository](one)
		if ok && other.host == r.host && other.scheme == r.scheme && other.repository != r.repository {
			return other.repository
		}
	}
	return ""
}

// reach finds a repository of some kind in one that may wrap it.
func reach[T any](from Repository) (found T, ok bool) {
	for {
		if found, ok = from.(T); ok {
			return found, true
		}
		wrapper, wraps := from.(interface{ Unwrap() Repository })
		if !wraps {
			return found, false
		}
		from = wrapper.Unwrap()
	}
}

// transfer reads a blob where it is and sends it, in an upload that was begun, or in
// a new one.
func (r *remoteRepository) transfer(ctx context.Context, session *url.URL, descriptor ocispec.Descriptor, from Repository) error {
	if descriptor.Size <= maxHeld {
		var held bytes.Buffer
		if err := fetch.Blob(ctx, from, descriptor, &held, fetch.Options{}); err != nil {
			return &sourceError{err}
		}
		return r.sendBlob(ctx, session, descriptor, question{body: held.Bytes()})
	}
	stream := &blobStream{ctx: ctx, from: from, descriptor: descriptor}
	err := r.sendBlob(ctx, session, descriptor, question{stream: stream})
	switch whole, broken := stream.end(); {
	case broken != nil:
		return &sourceError{broken}
	case err == nil && !whole:
		return r.readBack(ctx, func() error { return r.statBlob(ctx, descriptor) })
	}
	return err
}

// sendBlob sends the body of a question as a blob.
func (r *remoteRepository) sendBlob(ctx context.Context, session *url.URL, descriptor ocispec.Descriptor, q question) error {
	if session == nil {
		var err error
		if session, err = r.beginSession(ctx); err != nil {
			return err
		}
	}
	err := r.putBlob(ctx, session, descriptor, q)
	if err != nil && q.stream != nil && ctx.Err() == nil {
		// A session that nobody ends expires, so that nothing depends on this.
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, onceKey{}, true), 10*time.Second)
		defer cancel()
		_, _ = r.write(ctx, question{method: http.MethodDelete, whole: session.String()})
	}
	return err
}
