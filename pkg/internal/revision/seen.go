package revision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Seen says how many revision tags the writer of a revision saw in a catalog
// (SPEC section 4.2), so that whoever is shown fewer can tell. It is one
// writer's word: enough for a warning, and for nothing else.
type Seen struct {
	Revisions int    // tags of revisions, without the new one; 0 says nothing
	Catalog   string // of the catalog: 8 digits, as CatalogHash makes them
}

// CatalogHash is the short name of a catalog, given the normal form of its
// reference: the first 8 hexadecimal digits of that text's SHA-256.
func CatalogHash(catalog string) string {
	sum := sha256.Sum256([]byte(catalog))
	return hex.EncodeToString(sum[:4])
}

// String returns the value of the annotation; "" for one that says nothing.
func (s Seen) String() string {
	if s.Revisions <= 0 || s.Catalog == "" {
		return ""
	}
	return fmt.Sprintf("%d@%s", s.Revisions, s.Catalog)
}

// maxSeen bounds the count that is believed enough to warn.
const maxSeen = 1 << 30

// parseSeen reads the value of the annotation. Anything malformed says nothing.
func parseSeen(text string) Seen {
	count, catalog, _ := strings.Cut(text, "@")
	n, err := strconv.Atoi(count)
	seen := Seen{Revisions: n, Catalog: catalog}
	if err != nil || n > maxSeen || len(catalog) != 8 || strings.Trim(catalog, hexadecimal) != "" || seen.String() != text {
		return Seen{}
	}
	return seen
}
