package server

import (
	"context"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
)

// scope is what a reader may see. nil is everything.
type scope struct {
	key    string // tells scopes apart
	grants []grant
}

// grant is what one line of a file of read tokens lets see.
type grant struct {
	catalog string // reference; "" is each
	pattern string // of names, for entry.MatchPattern; "" is each
}

// nothing is the scope of those who have no token where one is needed.
var nothing = &scope{key: "nothing"}

// newScope is what several grants let see together.
func newScope(grants []grant) *scope {
	var keys []string
	for _, g := range grants {
		if g == (grant{}) {
			return nil
		}
		keys = append(keys, g.catalog+" "+g.pattern)
	}
	slices.Sort(keys)
	return &scope{strings.Join(slices.Compact(keys), "\n"), grants}
}

// equal reports whether two scopes let see the same.
func (s *scope) equal(other *scope) bool {
	return s == other || s != nil && other != nil && s.key == other.key
}

// sees reports whether a name of a catalog, given by its reference, may be seen.
func (s *scope) sees(catalog, name string) bool {
	return s == nil || slices.ContainsFunc(s.grants, func(g grant) bool {
		return (g.catalog == "" || g.catalog == catalog) && (g.pattern == "" || entry.MatchPattern(g.pattern, name))
	})
}

// seesCatalog reports whether anything of a catalog may be seen.
func (s *scope) seesCatalog(catalog string) bool {
	return s == nil || slices.ContainsFunc(s.grants, func(g grant) bool { return g.catalog == "" || g.catalog == catalog })
}

type readerKey struct{}

// reader is who made a request, and what they may see.
type reader struct {
	name  string // of the token
	scope *scope
}

func withReader(ctx context.Context, name string, sc *scope) context.Context {
	return context.WithValue(ctx, readerKey{}, reader{name, sc})
}

// readerName is the name of the token that a request was read with; "anyone" where
// that needs none.
func readerName(ctx context.Context) string {
	if found, ok := ctx.Value(readerKey{}).(reader); ok {
		return found.name
	}
	return "anyone"
}

// scopeOf is the scope of whoever made a request, by its context.
func (s *Server) scopeOf(ctx context.Context) *scope {
	if s.readers == nil {
		return nil
	}
	found, ok := ctx.Value(readerKey{}).(reader)
	if !ok {
		return nothing
	}
	return found.scope
}

// reference is that of the catalog with a label.
func (f *follower) reference(label string) string {
	if label == "" {
		return f.followed[0].catalog.Reference()
	}
	return label
}

// sees reports whether a scope lets see the name of a key.
func (f *follower) sees(sc *scope, key health.Key) bool {
	return sc == nil || sc.sees(f.reference(key.Catalog), key.Name)
}

// withoutNames takes the name of another entry out of the reason of an event, where the
// reader may not see that one.
func (f *follower) withoutNames(sc *scope, event *entry.Event) {
	if name, moved := strings.CutPrefix(event.Reason, movedTo); moved && !f.sees(sc, health.Key{Catalog: event.Catalog, Name: name}) {
		event.Reason = strings.TrimSuffix(movedTo, " to ")
	}
}

// movedTo begins the reason of a removal because an image was published under another
// name, which follows.
const movedTo = "moved to "
