package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

const (
	countLocations = 16 // locations artifacts that count: the newest readable ones
	tryLocations   = 64 // that are tried until there are so many
)

// Locations is what one locations artifact says (SPEC section 21). It is read-only.
type Locations struct {
	Tag        revision.Tag
	Descriptor ocispec.Descriptor // of its manifest: what a signature covers
	All        []revision.Location
}

// HasLocations reports whether the registry lists locations artifacts. Nothing is
// asked.
func (v *View) HasLocations() bool { return len(v.locations) > 0 }

// Locations returns what the newest readable locations artifacts say, the newest
// first. They are beside the log: one that cannot be read is a warning of the view.
// What was read before costs no request.
func (v *View) Locations(ctx context.Context) (found []Locations) {
	left := slices.Clone(v.locations[max(0, len(v.locations)-tryLocations):])
	wrong := 0
	for len(left) > 0 && len(found) < countLocations {
		from := max(0, len(left)-(countLocations-len(found)))
		batch := left[from:]
		left = left[:from]
		read, failed := make([]Locations, len(batch)), make([]error, len(batch))
		group := errgroup.Group{}
		group.SetLimit(v.log.options.Parallel)
		for n, tag := range batch {
			group.Go(func() error {
				read[n], failed[n] = v.log.readLocations(ctx, tag)
				return nil
			})
		}
		_ = group.Wait() // never fails: what went wrong is in failed
		for n, tag := range slices.Backward(batch) {
			if failed[n] == nil {
				found = append(found, read[n])
			} else if wrong++; wrong <= fewTags {
				v.notices.add(tag.String(), fmt.Errorf("locations %s are not read: %w", tag, failed[n]))
			}
		}
	}
	if wrong > fewTags {
		v.notices.add(revision.LocationsName, fmt.Errorf("locations: %s more are not read", plural(wrong-fewTags, "artifact")))
	}
	return found
}

func (l *Log) readLocations(ctx context.Context, tag revision.Tag) (Locations, error) {
	l.known.mu.Lock()
	known, read := l.locations[tag]
	l.known.mu.Unlock()
	if read {
		return known, nil
	}
	descriptor, manifest, err := l.target.Manifest(ctx, tag.String())
	if errors.Is(err, entry.ErrNotFound) {
		return Locations{}, fmt.Errorf("the registry lists the tag, and has nothing under it: %w", err)
	}
	if err != nil {
		return Locations{}, err
	}
	made := Locations{Tag: tag, Descriptor: ocispec.Descriptor{MediaType: descriptor.MediaType, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}}
	if made.All, err = revision.UnpackLocations(tag, manifest); err != nil {
		return Locations{}, err
	}
	l.rememberLocations(made)
	return made, nil
}

// rememberLocations keeps what a whole artifact says. Of very many the oldest are
// forgotten.
func (l *Log) rememberLocations(read Locations) {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if l.locations == nil {
		l.locations = map[revision.Tag]Locations{}
	}
	if l.locations[read.Tag] = read; len(l.locations) <= tryLocations {
		return
	}
	oldest := read.Tag
	for tag := range l.locations {
		if tag.Compare(oldest) < 0 {
			oldest = tag
		}
	}
	delete(l.locations, oldest)
}

// WriteLocations writes a locations artifact under a tag of its own that is newer than
// those of the view; none is ever overwritten. sign, where it is not nil, is called
// while no reader sees it, and if it fails there is none.
func (l *Log) WriteLocations(ctx context.Context, view *View, all []revision.Location, sign func(context.Context, ocispec.Descriptor) error) (Locations, error) {
	if err := l.CheckClock(); err != nil {
		return Locations{}, err
	}
	packed, err := revision.PackLocations(all, revision.NextTime(l.options.Now(), revision.LocationsName, view.locations))
	if err != nil {
		return Locations{}, err
	}
	var signing func(context.Context) error
	if sign != nil {
		signing = func(ctx context.Context) error { return sign(ctx, packed.Descriptor) }
	}
	if err := l.push(ctx, packed, signing); err != nil {
		return Locations{}, fmt.Errorf("write the locations: %w", err)
	}
	written := Locations{Tag: packed.Tag, Descriptor: packed.Descriptor, All: revision.MergeLocations(all)}
	l.rememberLocations(written)
	return written, nil
}
