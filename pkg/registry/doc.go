// Package registry opens repositories: of an OCI registry, or of an OCI image
// layout directory. It is the only place of the project that builds an oras-go
// client, and the place where every rule about other people's registries is
// kept (schema/SPEC.md, section 11): bounded bodies, digests checked, Link
// followed, Retry-After honoured, at most so many requests a host.
//
//	client, err := registry.New(registry.Options{})
//	ref, err := registry.ParseReference("registry.example.com/automotive/autosd:10")
//	repository, err := client.Open(ref)
//	descriptor, manifest, err := repository.Manifest(ctx, ref.Tag)
//
// # Logging in
//
// Options.Credentials finds the account for each repository. Nothing is looked
// for unless it is named: the environment is the caller's to read.
//
//	docker, err := registry.AuthFile("/home/ci/.docker/config.json", false)
//	inCluster := registry.ServiceAccount("", "image-registry.openshift-image-registry.svc:5000")
//	client, err := registry.New(registry.Options{Credentials: registry.Keychains(docker, inCluster)})
//
// An account, and every token got for it, goes to the repository it was found
// for: not to another one, and not to another host, wherever a redirect or an
// upload leads; a path of the same host that is not below /v2/ is in none. A
// refusal says which account was refused; no error and no log line shows a
// secret, nor one that a registry repeats.
//
// # Errors
//
// Every error wraps one of the kinds of package entry. A 401, 403, 429 or 5xx
// never means "absent": only a plain 404 is ErrNotFound.
package registry

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TagLister lists a repository's tags.
type TagLister interface {
	// Tags returns every tag, in no particular order. A repository that does
	// not exist has none.
	Tags(ctx context.Context) ([]string, error)
}

// Fetcher reads content, bounded and checked against its digest.
type Fetcher interface {
	// Resolve returns the descriptor of a tag or digest without its content.
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Manifest returns the manifest or index that a tag or digest names: at
	// most 4 MiB, which hash to the descriptor's digest.
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
	// Blob returns the content of a descriptor: at most MaxBlob bytes.
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
}

// BlobStater finds out whether content is there, without reading it.
type BlobStater interface {
	// StatBlob reports whether a blob is there, and of the size that its
	// descriptor says. A blob of another size is an entry.ErrMalformed: the
	// manifest that names it lies.
	StatBlob(ctx context.Context, descriptor ocispec.Descriptor) error
}

// Pusher writes content. Writing what is there already succeeds.
type Pusher interface {
	PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error
	// PushManifest writes a manifest under a tag, or under its digest alone,
	// once its blobs are there.
	PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error
}

// Deleter deletes. Registries that do not delete refuse it.
type Deleter interface {
	// Delete deletes a tag and the manifest under it, which is under no other
	// tag. A tag that does not exist is an entry.ErrNotFound.
	Delete(ctx context.Context, tag string) error
}

// ReferrerLister knows the artifacts that refer to a subject.
type ReferrerLister interface {
	// Referrers lists the manifests whose subject is the given one. Where the
	// registry has no Referrers API, it reads the fallback tag; artifact type
	// and annotations in the result are then another client's word.
	Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
}

// ReferrerPusher attaches artifacts to a subject.
type ReferrerPusher interface {
	// PushReferrer writes a manifest with a subject and returns once it is
	// listed among the subject's referrers. Other clients may still lose it
	// later, where the registry has no Referrers API.
	PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, subject ocispec.Descriptor) error
}

// Repository is one repository of a registry or one layout directory, safe for
// concurrent use.
type Repository interface {
	TagLister
	Fetcher
	BlobStater
	Pusher
	Deleter
	ReferrerLister
	ReferrerPusher
}
