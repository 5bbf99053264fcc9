package serving

import (
	"errors"
	"reflect"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Refused is a name that a policy refuses, and why.
type Refused struct {
	Name string
	Err  error
	// Published tells that a publication decides the name, and one that can be read.
	Published bool
}

// CouldMatch returns those of some refused names that a query could match. The others
// it does not match whatever is true of them: by their name, or because neither what
// is refused nor any other publication of the name claims what the query wants. A
// stranger's publication may claim anything, and takes nothing out of a list without
// a word. Phase and verdict are not asked.
//
// further tells that claims leaves out what the query does not match for other
// reasons. claims returns what all publications of some names say, by name, and leaves
// out names of which it cannot tell: these could match.
func CouldMatch[T any](q entry.Query, further bool, refused []T, of func(T) Refused, claims func(names map[string]bool) map[string][]entry.Outline) []T {
	could := slices.DeleteFunc(slices.Clone(refused), func(one T) bool { return !entry.MatchPattern(q.Name, of(one).Name) })
	q = Claimed(q)
	names := map[string]bool{}
	for _, one := range could {
		if r := of(one); r.Published && !isUnknown(r.Err) {
			names[r.Name] = true
		}
	}
	if !further && reflect.ValueOf(q).IsZero() || len(names) == 0 {
		return could
	}
	claimed := claims(names)
	unlike := map[string]bool{}
	for name := range names {
		outlines, told := claimed[name]
		unlike[name] = told && len(entry.Pick(q, outlines, func(o entry.Outline) *entry.Outline { return &o })) == 0
	}
	return slices.DeleteFunc(could, func(one T) bool {
		r := of(one)
		return r.Published && !isUnknown(r.Err) && unlike[r.Name]
	})
}

// Claimed is that part of a query which is compared with what a publication says of
// itself, but for its name.
func Claimed(q entry.Query) entry.Query {
	q.Name, q.Phase, q.Signed = "", "", nil
	q.Versions, q.Sort, q.Latest, q.Limit = false, "", false, 0
	return q
}

// isUnknown reports whether a name is refused because nobody knows its state: its
// signatures could not be checked, or what was later is gone.
func isUnknown(err error) bool {
	refused, ok := errors.AsType[*trust.Error](err)
	return !ok || refused.Verdict == entry.VerdictUnknown || refused.Subject == trust.SubjectLatest
}
