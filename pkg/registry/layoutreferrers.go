package registry

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// subjects is what the manifests of a layout say of their subjects. A layout has
// no list of referrers, so each manifest is read once; its digest is what it
// says for ever.
type subjects struct {
	read map[string]bool       // digests of the manifests that were read
	of   map[string][]referrer // by the digest of the subject
}

type referrer struct {
	digest       string
	size         int64 // of its file: nobody has checked what index.json says
	artifactType string
}

func newSubjects() subjects { return subjects{map[string]bool{}, map[string][]referrer{}} }

// Referrers implements Repository. A manifest that is listed but missing
// refers to nothing; one that cannot be read might be any referrer, so nothing
// can be said then.
func (l *layout) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	release, err := takeTurn(ctx, l.scanning)
	if err != nil {
		return nil, l.failed("list referrers", err)
	}
	defer release()
	if err := l.readSubjects(ctx); err != nil {
		return nil, l.failed("list referrers", err)
	}
	var found []ocispec.Descriptor
	var faults error
	err = l.withIndex(ctx, func(index *layoutIndex) {
		for _, r := range l.subjects.of[subject.Digest.String()] {
			for _, at := range index.digests.all(r.digest) {
				d, err := index.listed[at].descriptor()
				d.Size, d.ArtifactType = r.size, r.artifactType
				found, faults = append(found, d), errors.Join(faults, err)
			}
		}
	})
	if err = errors.Join(err, faults); err != nil {
		return nil, l.failed("list referrers", err)
	}
	return found, nil
}

// readSubjects reads the listed manifests that were not read before.
func (l *layout) readSubjects(ctx context.Context) error {
	var index *layoutIndex
	var unread []listing
	var upTo int
	err := l.withIndex(ctx, func(current *layoutIndex) {
		index, upTo = current, len(current.listed)
		for _, listed := range current.listed[current.scanned:] {
			if listed.digest != "" && !l.subjects.read[listed.digest] {
				unread = append(unread, listed)
			}
		}
	})
	if err != nil {
		return err
	}
	missing := false
	for _, listed := range unread {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := l.readSubject(listed)
		if errors.Is(err, fs.ErrNotExist) {
			missing = true
		} else if err != nil {
			return err
		}
	}
	if !missing {
		return l.withIndex(ctx, func(current *layoutIndex) {
			if current == index {
				current.scanned = upTo
			}
		})
	}
	return nil
}

// readSubject notes the subject of one manifest. Only what has no digest that
// could be the name of a file is none that anybody could read.
func (l *layout) readSubject(listed listing) error {
	name := strings.Clone(listed.digest) // it is part of index.json's text
	if digest.Digest(name).Validate() != nil {
		l.subjects.read[name] = true
		return nil
	}
	text, err := l.read(digest.Digest(name), l.bounds.manifest)
	if err != nil {
		return err
	}
	l.subjects.read[name] = true
	var manifest ocispec.Manifest
	if decodeLeniently(string(text), &manifest) == nil && manifest.Subject != nil {
		of := manifest.Subject.Digest.String()
		l.subjects.of[of] = append(l.subjects.of[of], referrer{name, int64(len(text)), manifest.ArtifactType})
	}
	return nil
}

// PushReferrer implements Repository.
func (l *layout) PushReferrer(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, _ ocispec.Descriptor) error {
	return l.failed("attach", l.pushManifest(ctx, descriptor, manifest))
}
