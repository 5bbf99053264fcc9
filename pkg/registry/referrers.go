package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// referrersAPI is what is known of a registry's Referrers API. It is never
// guessed from a header: some announce what they do not have.
type referrersAPI struct {
	mu     sync.Mutex
	there  bool             // it answered
	absent time.Time        // when a plain 404 was answered last; zero is never
	first  chan struct{}    // closed once whoever asks first has an answer; nil is nobody
	now    func() time.Time // nil is time.Now
}

// apiRecheck is how long one 404 is believed to mean that there is no Referrers
// API: a server or a proxy may have answered it by mistake, and signatures are
// not seen for as long.
const apiRecheck = time.Minute

func (a *referrersAPI) time() time.Time {
	if a.now != nil {
		return a.now()
	}
	return time.Now()
}

// isAbsent reports whether the API need not be asked.
func (a *referrersAPI) isAbsent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lacks()
}

func (a *referrersAPI) lacks() bool {
	return !a.there && !a.absent.IsZero() && a.time().Sub(a.absent) < apiRecheck
}

// awaitFirst waits while somebody else finds out whether the API is there, so that of
// many who ask at once one does. Whoever is told nothing new asks for himself. answered
// is to be called once the own answer is noted; it may be called again.
func (a *referrersAPI) awaitFirst(ctx context.Context) (answered func()) {
	a.mu.Lock()
	first := a.first
	switch {
	case a.there || a.lacks():
		a.mu.Unlock()
		return func() {}
	case first == nil:
		own := make(chan struct{})
		a.first = own
		a.mu.Unlock()
		return sync.OnceFunc(func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.first = nil
			close(own)
		})
	}
	a.mu.Unlock()
	select {
	case <-first:
	case <-ctx.Done():
	}
	return func() {}
}

// isThere reports whether the API has answered.
func (a *referrersAPI) isThere() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.there
}

// answered notes that the API is there. That is so for good.
func (a *referrersAPI) answered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.there = true
}

// lacking notes that the API is a 404, and reports whether it can be: it has
// never answered.
func (a *referrersAPI) lacking() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.absent = a.time()
	return !a.there
}

// Referrers implements Repository.
func (r *remoteRepository) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	list, err := r.listReferrers(ctx, subject)
	return list.descriptors, r.classify(ctx, "list referrers of "+r.named(subject.Digest.String()), err)
}

// referrerList is what refers to a subject, and how that is known.
type referrerList struct {
	descriptors []ocispec.Descriptor
	fallback    bool // from the index under the fallback tag, or there is none
}

// listReferrers asks the Referrers API, and where there is none, for the
// fallback tag. Only a 404 means that there is none; where an older registry
// answers 400, 405, 406 or 501, what is under the tag refers to the subject, but
// that nothing is there means nothing.
func (r *remoteRepository) listReferrers(ctx context.Context, subject ocispec.Descriptor) (referrerList, error) {
	if err := subject.Digest.Validate(); err != nil {
		return referrerList{}, fmt.Errorf("%w: digest %q: %v", entry.ErrInvalid, subject.Digest, err)
	}
	answered := r.referrers.awaitFirst(ctx)
	defer answered()
	if !r.referrers.isAbsent() {
		all, err := r.referrersByAPI(ctx, subject)
		var answer *refusal
		switch {
		case err == nil:
			r.referrers.answered()
			return referrerList{descriptors: all}, nil
		case !errors.As(err, &answer) || !r.isAPI(answer.url) || answer.isForbidden():
			return referrerList{}, err
		case answer.status == http.StatusNotFound && (!saysNoAPI(answer) || answer.says(errcode.ErrorCodeNameUnknown)):
			return referrerList{}, err
		case answer.status == http.StatusNotFound:
			if !r.referrers.lacking() {
				return referrerList{}, fmt.Errorf("%w: the Referrers API, which answered before, is gone: 404", entry.ErrUnreachable)
			}
		case lacksAPI(answer):
			list, fallbackErr := r.fallbackIndex(ctx, subject)
			if len(list) == 0 {
				return referrerList{fallback: fallbackErr == nil}, err
			}
			return referrerList{descriptors: list, fallback: true}, fallbackErr
		default:
			return referrerList{}, err
		}
	}
	answered()
	all, err := r.fallbackIndex(ctx, subject)
	return referrerList{descriptors: all, fallback: true}, err
}

// saysNoAPI reports whether a 404 says no more than that there is no Referrers
// API.
func saysNoAPI(answer *refusal) bool {
	return answer.isAbsence(errcode.ErrorCodeUnsupported, "METHOD_UNKNOWN")
}

// lacksAPI reports whether a refusal of the Referrers API tells a writer that
// there is none.
func lacksAPI(answer *refusal) bool { return lacksAPIStatus(answer.status) && !answer.page }

func lacksAPIStatus(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return false
}

func (r *remoteRepository) referrersByAPI(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	path := "referrers/" + subject.Digest.String()
	var all []ocispec.Descriptor
	seen, left := map[string]bool{}, r.left
	for page, next := 0, ""; ; page++ {
		if page == maxPages {
			return nil, fmt.Errorf("%w: a list of more than %d pages", entry.ErrUnreachable, maxPages)
		}
		address := path
		if next != "" {
			address += "?" + next
		}
		header, body, err := r.get(ctx, question{path: address, header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}}})
		if err != nil && page > 0 && status(err) == http.StatusNotFound {
			err = fmt.Errorf("%w: page %d of the list does not exist", entry.ErrUnreachable, page+1)
		}
		if err != nil {
			return nil, err
		}
		list, err := readIndex(body)
		if err == nil {
			err = left.take(len(list), body)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		var more bool
		if next, more, err = nextPage(header.Values("Link")); err != nil || !more {
			return eachOnce(all), err
		}
		if seen[next] {
			return nil, fmt.Errorf("%w: the list of referrers repeats itself", entry.ErrUnreachable)
		}
		seen[next] = true
	}
}

// readIndex reads the manifests of an index. Its body decides whether it is
// one: registries give it one type or another.
func readIndex(body []byte) ([]ocispec.Descriptor, error) {
	object, elements, err := readList(body, "manifests")
	if err != nil {
		return nil, err
	}
	var own any
	if mediaType, found := object["mediaType"]; found {
		_ = json.Unmarshal(mediaType, &own)
	}
	if isManifest := object["layers"] != nil && object["layers"].Kind() != 'n'; isManifest || !isIndexType(own) {
		return nil, fmt.Errorf("%w: the answer is no image index", entry.ErrUnreachable)
	}
	var manifests []ocispec.Descriptor
	for _, element := range elements {
		if d, ok := readDescriptor(element); ok {
			manifests = append(manifests, d)
		}
	}
	if len(manifests) == 0 && len(elements) > 0 {
		return nil, fmt.Errorf("%w: a list of referrers of which none has a digest", entry.ErrUnreachable)
	}
	return manifests, nil
}

// isIndexType reports whether a body may be an index that says of itself that it
// is of some media type: of none, or of an index's, however it is spelt.
func isIndexType(own any) bool {
	text, _ := own.(string)
	switch text, _, _ = strings.Cut(text, ";"); strings.ToLower(strings.TrimSpace(text)) {
	case "", ocispec.MediaTypeImageIndex, dockerList:
		return true
	}
	return false
}

// readDescriptor reads a descriptor of a list that anybody may have added to:
// one that is odd must not hide the others. It needs a digest, without which it
// names nothing; of the rest, what is of the wrong kind is left out.
func readDescriptor(element []byte) (ocispec.Descriptor, bool) {
	var d ocispec.Descriptor
	members, err := readMembers(element)
	if err != nil {
		return d, false
	}
	if json.Unmarshal(element, &d) != nil {
		d = ocispec.Descriptor{}
		for name, into := range map[string]any{"mediaType": &d.MediaType, "digest": &d.Digest, "artifactType": &d.ArtifactType, "size": &d.Size} {
			if value := members[name]; value != nil {
				_ = json.Unmarshal(value, into)
			}
		}
		var annotations map[string]any
		_ = json.Unmarshal(members["annotations"], &annotations)
		for name, value := range annotations {
			if text, ok := value.(string); ok {
				if d.Annotations == nil {
					d.Annotations = map[string]string{}
				}
				d.Annotations[name] = text
			}
		}
	}
	d.Size = max(d.Size, 0)
	return d, d.Digest.Validate() == nil
}

// fallbackIndex reads the index under the fallback tag. Some registries resolve
// that tag to the subject itself, whose children are no referrers.
func (e *endpoint) fallbackIndex(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	descriptor, body, err := e.manifest(ctx, referrertag.Index(subject.Digest))
	switch {
	case e.isAbsent(err):
		return nil, nil
	case err != nil:
		return nil, err
	case descriptor.Digest == subject.Digest:
		return nil, nil
	}
	list, err := readIndex(body)
	return eachOnce(list), err
}

// eachOnce leaves the first of the descriptors that have the same digest.
func eachOnce(all []ocispec.Descriptor) []ocispec.Descriptor {
	seen := map[digest.Digest]bool{}
	return slices.DeleteFunc(all, func(d ocispec.Descriptor) bool {
		twice := seen[d.Digest]
		seen[d.Digest] = true
		return twice
	})
}
