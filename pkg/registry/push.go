package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/internal/pause"
)

// PushBlob implements Repository. The empty configuration is looked for first: it
// is nearly always there.
func (r *remoteRepository) PushBlob(ctx context.Context, descriptor ocispec.Descriptor, blob []byte) error {
	operation := "push " + r.named(descriptor.Digest.String())
	if err := describes(descriptor, blob); err != nil {
		return r.classify(ctx, operation, err)
	}
	if descriptor.Digest == ocispec.DescriptorEmptyJSON.Digest {
		response, err := r.head(ctx, question{path: "blobs/" + descriptor.Digest.String()})
		if err == nil && response.ContentLength == descriptor.Size {
			return nil
		}
	}
	var err error
	for range blobAttempts {
		// An upload session that a repeated request does not find is begun anew.
		if err = r.upload(ctx, descriptor, blob); status(err) != http.StatusNotFound || ctx.Err() != nil {
			break
		}
	}
	return r.classify(ctx, operation, err)
}

// describes reports content that is not what its descriptor says.
func describes(descriptor ocispec.Descriptor, content []byte) error {
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, descriptor.Digest, err)
	}
	if got := descriptor.Digest.Algorithm().FromBytes(content); got != descriptor.Digest || int64(len(content)) != descriptor.Size {
		return fmt.Errorf("%w: %d bytes with digest %s pushed as %d bytes with digest %s", entry.ErrInvalid, len(content), got, descriptor.Size, descriptor.Digest)
	}
	return nil
}

// upload sends a blob with the request that begins its upload, where the registry may
// take that, and else with one that ends it. A registry that does not take it begins
// an upload all the same, and is not offered another blob like that: some refuse.
func (r *remoteRepository) upload(ctx context.Context, descriptor ocispec.Descriptor, blob []byte) error {
	if len(blob) > maxSinglePost || r.twoStep.Contains(r.host) {
		session, err := r.beginSession(ctx)
		if err != nil {
			return err
		}
		return r.putBlob(ctx, session, descriptor, question{body: blob})
	}
	response, err := r.write(ctx, question{
		method: http.MethodPost, path: "blobs/uploads/?" + url.Values{"digest": {descriptor.Digest.String()}}.Encode(), body: blob,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	})
	if err == nil && response.StatusCode == http.StatusCreated && namesBlob(response, descriptor.Digest) {
		return nil
	}
	var refused *refusal
	if err != nil && (!errors.As(err, &refused) || refused.isForbidden() || refused.isThrottled()) {
		return err
	}
	r.twoStep.Add(r.host, true)
	if err == nil {
		var session *url.URL
		if session, err = r.session(response); err == nil {
			return r.putBlob(ctx, session, descriptor, question{body: blob})
		}
	}
	return r.upload(ctx, descriptor, blob)
}

// namesBlob reports whether an answer says which blob is stored, or where: one that
// does not may be anybody's, and nothing is stored.
func namesBlob(response *http.Response, blob digest.Digest) bool {
	if response.Header.Get("Docker-Content-Digest") == blob.String() {
		return true
	}
	location, err := response.Location()
	return err == nil && strings.HasSuffix(location.Path, "/blobs/"+blob.String())
}

// maxSinglePost bounds a blob that is sent before it is known whether the registry
// takes it like that, in bytes.
const maxSinglePost = 64 << 10

// putBlob ends an upload that was begun by sending all of a blob, the body of a
// question.
func (r *remoteRepository) putBlob(ctx context.Context, session *url.URL, descriptor ocispec.Descriptor, q question) error {
	whole := *session
	query := whole.Query()
	query.Set("digest", descriptor.Digest.String())
	whole.RawQuery = query.Encode()
	q.method, q.whole, q.header = http.MethodPut, whole.String(), http.Header{"Content-Type": {"application/octet-stream"}}
	response, err := r.write(ctx, q)
	if err != nil || response.StatusCode == http.StatusCreated {
		return err
	}
	return r.readBack(ctx, func() error { return r.statBlob(ctx, descriptor) })
}

func (r *remoteRepository) beginSession(ctx context.Context) (*url.URL, error) {
	response, err := r.write(ctx, question{method: http.MethodPost, path: "blobs/uploads/", body: []byte{}})
	if err != nil {
		return nil, err
	}
	return r.session(response)
}

// session returns where an upload that was begun goes on: in the
// repository, or outside of all of them at the registry itself, or nowhere. A registry behind a proxy that ends TLS may call itself by
// plain HTTP: it is asked as before.
func (e *endpoint) session(begun *http.Response) (*url.URL, error) {
	session, err := begun.Location()
	if err != nil || session.User != nil {
		return nil, fmt.Errorf("%w: the registry begins an upload and does not say where it goes on", entry.ErrUnreachable)
	}
	upgraded := e.scheme == "https" && session.Scheme == "http" && session.Port() == ""
	same := session.Scheme == e.scheme && normal.RequestHost(session.Host, e.scheme == "http") == e.host
	if !same && !(upgraded && strings.EqualFold(session.Hostname(), begun.Request.URL.Hostname())) {
		return nil, fmt.Errorf("%w: the registry has an upload go on at another host", entry.ErrUnreachable)
	}
	if isForeign(e.repository, session) {
		return nil, fmt.Errorf("%w: the registry has an upload go on in another repository", entry.ErrUnreachable)
	}
	session.Scheme, session.Host = e.scheme, e.host
	return session, nil
}

// PushManifest implements Repository. A registry that does not know a blob which
// was just pushed, or was found there, may be storing it at this moment for
// another client: the manifest is sent again a little later.
func (r *remoteRepository) PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	return r.classify(ctx, "push "+r.named(reference), r.pushManifest(ctx, descriptor, manifest, reference))
}

func (r *remoteRepository) pushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	for attempt := 0; ; attempt++ {
		err := r.put(ctx, descriptor, manifest, reference)
		if !blobUnknown(err) || attempt == blobWaits {
			return err
		}
		if err := pause.For(ctx, jitter(50*time.Millisecond<<attempt)); err != nil {
			return err
		}
	}
}

func (r *remoteRepository) put(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	if err := describes(descriptor, manifest); err != nil {
		return err
	}
	response, err := r.write(ctx, question{
		method: http.MethodPut, path: "manifests/" + reference, body: manifest,
		header: http.Header{"Content-Type": {descriptor.MediaType}},
	})
	if err != nil || response.StatusCode == http.StatusCreated {
		return err
	}
	return r.readBack(ctx, func() error {
		_, err := r.resolve(ctx, descriptor.Digest.String())
		return err
	})
}

const (
	// blobWaits bounds how often a manifest is sent again because the registry
	// does not know one of its blobs.
	blobWaits = 5
	// readBacks bounds how often something is looked for that was taken with
	// another status than 201.
	readBacks = 6
)

// readBack looks for what a registry took with another success than the one that
// says that it is stored.
func (r *remoteRepository) readBack(ctx context.Context, look func() error) error {
	for attempt := range readBacks {
		if attempt > 0 {
			if err := pause.For(ctx, jitter(r.backoff<<attempt)); err != nil {
				return err
			}
		}
		if err := look(); err == nil || status(err) != http.StatusNotFound {
			return err
		}
	}
	return fmt.Errorf("%w: the registry took it and does not have it", entry.ErrUnreachable)
}

func blobUnknown(err error) bool {
	var answer *refusal
	return errors.As(err, &answer) && answer.says(errcode.ErrorCodeManifestBlobUnknown, errcode.ErrorCodeBlobUnknown)
}
