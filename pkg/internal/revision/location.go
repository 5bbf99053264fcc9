package revision

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Bounds of what a locations artifact says (SPEC section 21).
const (
	MaxLocations   = 64 << 10 // bytes of its layer
	maxLocationsAt = 16       // places of one prefix
	maxPrefix      = 1024     // bytes of a prefix, or of what stands in its place
)

// OwnLayout among the places of a Location is the layout that the catalog itself is
// in, so that a layout with images can be moved.
const OwnLayout = "."

// Location says where the images below a prefix can be had as well (SPEC section 21).
type Location struct {
	Prefix string   `json:"prefix"` // HOST/, HOST/NAMESPACE/, HOST/REPOSITORY/ or oci:PATH/
	At     []string `json:"at"`     // what stands in its place: the same of a registry, or OwnLayout
}

var repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)

// Check returns an entry.ErrInvalid for a location that is not in the one form that
// is written and read.
func (l Location) Check() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: location: %s", entry.ErrInvalid, fmt.Sprintf(format, args...))
	}
	path, ofLayout := strings.CutPrefix(l.Prefix, "oci:")
	switch {
	case ofLayout && (len(path) < 2 || !strings.HasSuffix(path, "/") || len(path) > maxPrefix || !isText(path, maxPrefix)):
		return invalid("prefix %q: want oci:PATH/", shorten(l.Prefix))
	case !ofLayout && !isRegistryPrefix(l.Prefix):
		return invalid("prefix %q: want HOST/, HOST/NAMESPACE/ or HOST/REPOSITORY/, the host in normal form", shorten(l.Prefix))
	case len(l.At) == 0 || len(l.At) > maxLocationsAt:
		return invalid("prefix %q: want 1 to %d places", shorten(l.Prefix), maxLocationsAt)
	}
	for _, at := range l.At {
		if at != OwnLayout && !isRegistryPrefix(at) {
			return invalid("place %q: want HOST/ or HOST/PATH/, the host in normal form, or %q", shorten(at), OwnLayout)
		}
	}
	return nil
}

// isRegistryPrefix reports whether a text is HOST/ or HOST/PATH/ with the host in
// normal form.
func isRegistryPrefix(text string) bool {
	trimmed, slash := strings.CutSuffix(text, "/")
	host, path, deeper := strings.Cut(trimmed, "/")
	_, _, ok := normal.SplitHost(host)
	return slash && ok && len(text) <= maxPrefix && normal.Host(host) == host && (!deeper || repositoryPattern.MatchString(path))
}

// Places returns where a repository in normal form can be had by this location, in
// order: repositories, and OwnLayout as it is. It is nil for a repository that is not
// below the prefix. What is no repository is left out.
func (l Location) Places(repository string) (all []string) {
	rest, below := strings.CutPrefix(repository+"/", l.Prefix)
	if !below {
		return nil
	}
	for _, at := range l.At {
		if at == OwnLayout {
			all = append(all, at)
		} else if made := strings.TrimSuffix(at+rest, "/"); strings.Contains(made, "/") {
			all = append(all, made)
		}
	}
	return all
}

// MergeLocations returns the union of locations: one of each prefix, ordered by
// prefix, with the places in the order in which they are given.
func MergeLocations(all ...[]Location) (merged []Location) {
	places := map[string]int{}
	for _, one := range slices.Concat(all...) {
		n, known := places[one.Prefix]
		if !known {
			n = len(merged)
			places[one.Prefix] = n
			merged = append(merged, Location{Prefix: one.Prefix})
		}
		for _, at := range one.At {
			if !slices.Contains(merged[n].At, at) {
				merged[n].At = append(merged[n].At, at)
			}
		}
	}
	slices.SortFunc(merged, func(a, b Location) int { return cmp.Compare(a.Prefix, b.Prefix) })
	return merged
}

// LocationsSay reports whether locations say all that some others say.
func LocationsSay(have, others []Location) bool {
	count := func(all []Location) (places int) {
		for _, one := range all {
			places += len(one.At)
		}
		return places
	}
	merged := MergeLocations(have)
	return count(merged) == count(MergeLocations(merged, others))
}

// PackLocations makes a locations artifact with the given time. What is not in the
// one form, or too long for a reader, is an entry.ErrInvalid.
func PackLocations(all []Location, at entry.Time) (*Packed, error) {
	var layer bytes.Buffer
	for _, one := range MergeLocations(all) {
		if err := one.Check(); err != nil {
			return nil, err
		}
		line, err := json.Marshal(one)
		if err != nil {
			return nil, fmt.Errorf("%w: location: %v", entry.ErrInvalid, err)
		}
		layer.Write(line)
		layer.WriteByte('\n')
	}
	if layer.Len() == 0 || layer.Len() > MaxLocations {
		return nil, fmt.Errorf("%w: locations of %d bytes: want 1 to %d", entry.ErrInvalid, layer.Len(), MaxLocations)
	}
	packed, err := packManifest(MediaTypeLocations, MediaTypeLocationLines, layer.Bytes(), map[string]string{ocispec.AnnotationCreated: at.String()}, nil)
	if err != nil {
		return nil, err
	}
	packed.Tag = LocationsTag(at, packed.Descriptor.Digest)
	if _, ok := splitTag(packed.Tag.String()); !ok {
		return nil, fmt.Errorf("%w: the time %s does not fit into a tag", entry.ErrInvalid, at)
	}
	return packed, nil
}

// UnpackLocations checks that manifest is the locations artifact that tag names, and
// reads it. The error is an ErrMalformed: nothing of it counts.
func UnpackLocations(tag Tag, manifest []byte) ([]Location, error) {
	invalid := func(format string, args ...any) ([]Location, error) {
		return nil, fmt.Errorf("%w: locations %s: %s", entry.ErrMalformed, tag, fmt.Sprintf(format, args...))
	}
	if sum := digest.FromBytes(manifest); !tag.Names(sum) {
		return invalid("the manifest's digest is %s", sum)
	}
	var view manifestView
	if err := json.Unmarshal(manifest, &view); err != nil {
		return invalid("manifest: %v", err)
	}
	if view.MediaType != ocispec.MediaTypeImageManifest || view.SchemaVersion != 2 || view.ArtifactType != MediaTypeLocations {
		return invalid("want a manifest of the artifact type %s", MediaTypeLocations)
	}
	var annotations map[string]string
	if err := json.Unmarshal(view.Annotations, &annotations); err != nil || annotations[ocispec.AnnotationCreated] != tag.Time().String() {
		return invalid("it was not made at the time of the tag")
	}
	layer, err := view.embedded(MediaTypeLocationLines, "layer")
	if err != nil {
		return invalid("%v", err)
	}
	if len(layer) > MaxLocations {
		return invalid("%d bytes, more than %d", len(layer), MaxLocations)
	}
	var all []Location
	seen := map[string]bool{}
	for line := range bytes.Lines(layer) {
		var one Location
		if err := json.Unmarshal(line, &one); err != nil {
			return invalid("%v", err)
		}
		if one.Prefix == "" {
			continue // a line of another kind, by a later version
		}
		if err := one.Check(); err != nil {
			return invalid("%v", err)
		}
		if seen[one.Prefix] {
			return invalid("the prefix %q stands twice", shorten(one.Prefix))
		}
		seen[one.Prefix] = true
		all = append(all, one)
	}
	return all, nil
}
