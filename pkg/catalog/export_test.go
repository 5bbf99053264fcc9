package catalog

import "github.com/oci-catalog/caib/pkg/registry"

// ReadingHashes makes readers read the hashes of segments, however small these are.
func ReadingHashes(options Options) Options {
	options.whole = 1
	return options
}

// WriteLocations is what copies write.
var WriteLocations = (*Catalog).writeLocations

// CopyTarget is where a copy puts the images of a layout that no map is for.
func CopyTarget(to registry.Reference, layout string) (string, error) {
	m, err := newCopyMap("", to, nil)
	if err != nil {
		return "", err
	}
	at, _, err := m.target(registry.Reference{Layout: layout})
	if err != nil {
		return "", err
	}
	return at.Base(), nil
}
