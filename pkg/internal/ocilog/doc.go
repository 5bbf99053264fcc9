// Package ocilog keeps the log of a catalog in an OCI repository: an
// append-only list of revisions, one small artifact each under a tag of its
// own, that nothing ever overwrites (schema/SPEC.md, sections 3 to 8).
//
//	log := ocilog.New(repository, "registry.example.com/automotive/catalog", ocilog.Options{})
//	view, err := log.Read(ctx)            // tag list, newest snapshot
//	live, err := view.Live(ctx, time.Time{})
//	err = log.Append(ctx, packed)         // written once, read back
//	_, err = log.Compact(ctx, view)       // a snapshot, when one is due
//
// Reading costs the tag list and what is not known yet. Whatever was fetched is
// known by its digest and cached: decoded revisions in a bounded LRU, segments
// and the revisions that no snapshot covers in a directory that any number of
// processes may share. Snapshots and caches are never believed: each record is
// held against the hash in its tag, and a record whose tag the registry does
// not list is asked for by itself, so that a list that was cut short or rolled
// back hides nothing.
package ocilog

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Lister lists the tags of the repository, all of them, in any order.
type Lister interface {
	Tags(ctx context.Context) ([]string, error)
}

// Fetcher reads content that was checked against its digest. A tag or blob
// that does not exist is an entry.ErrNotFound; every other error means that
// nothing is known.
type Fetcher interface {
	Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	Manifest(ctx context.Context, reference string) (ocispec.Descriptor, []byte, error)
	Blob(ctx context.Context, descriptor ocispec.Descriptor) ([]byte, error)
}

// Pusher writes content; writing what is there already succeeds.
type Pusher interface {
	PushBlob(ctx context.Context, descriptor ocispec.Descriptor, content []byte) error
	PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, tag string) error
}

// Target is the repository that a log lives in.
type Target interface {
	Lister
	Fetcher
	Pusher
}
