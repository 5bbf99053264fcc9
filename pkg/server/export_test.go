package server

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Source is what a server asks of a catalog, for tests that stand between the two.
type Source = source

// NewBetween is New with something between the server and each catalog.
func NewBetween(options Options, between func(Source) Source) (*Server, error) {
	sources := sourcesOf(options.Catalogs)
	for n, c := range sources {
		sources[n] = between(c)
	}
	return newServer(options, sources)
}

// OpenTokens opens a token file.
func OpenTokens(path string) (any, error) { return openTokens(path, parseTokens) }

// MaxMoves is how many moves of the past are known.
const MaxMoves = maxMoves

// MovesSince makes states each of which moves some names that none before it has, and
// returns how many moves the last one knows of since each; -1 is not known.
func MovesSince(states, names int) (counts []int) {
	var last *decisions
	var hashes []string
	for n := range states {
		next := map[health.Key]decided{}
		for k := range names {
			name := fmt.Sprintf("name-%d-%d", n, k)
			next[health.Key{Name: name}] = decided{tag: revision.Tag{Name: name, Millis: int64(n + 1), Op: revision.OpPublish}}
		}
		last, _ = last.and(next, nil) // nothing is decoded
		hashes = append(hashes, last.hash)
	}
	for _, hash := range hashes {
		if moves, known := last.since(hash); known {
			counts = append(counts, len(moves))
		} else {
			counts = append(counts, -1)
		}
	}
	return counts
}

// MaxEarlier is how many states are known of a scope.
const MaxEarlier = maxEarlier

// EarlierOf notes states of a scope, each with the one of the whole, and returns what is
// known then.
func EarlierOf(states [][2]string) (known map[string]string) {
	var e earlier
	for _, pair := range states {
		known = e.add("scope", pair[0], pair[1])
	}
	return known
}
