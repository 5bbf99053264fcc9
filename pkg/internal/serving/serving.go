// Package serving is what package server asks of a catalog beside what everybody
// may: reads that it holds in memory, and what a policy makes of them. Package
// catalog implements it.
//
// A View is what one read of a catalog showed. An Evaluation says what a policy
// makes of each name in a View, in one Finding each.
package serving

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Source is a catalog. It is safe for concurrent use.
type Source interface {
	// Read asks the registry for the state of the catalog.
	Read(ctx context.Context) (View, error)
	// ReadCached returns the catalog as the cache on disk has it, without asking
	// the registry for anything that is cached. A catalog that is not in the cache
	// is an entry.ErrNotFound.
	ReadCached(ctx context.Context) (View, error)
	// SetPolicy has another policy take the place of the one that the catalog was
	// opened with. What began before ends under the policy that it began with. A
	// catalog that was opened without a policy has none, and takes none: that is an
	// entry.ErrInvalid, and so is nil.
	SetPolicy(policy *trust.Policy) error
	// SetGate has the catalog open no repository of an image from now on but those
	// that a gate lets through, and tell the gate of the references that the policy
	// vouches for: those of entries that it verifies by their own signatures.
	SetGate(gate *gate.Gate)
	// Probe reports why the image of an entry cannot be had now as it was
	// published; nil means that it can. It asks for the manifest and nothing below.
	Probe(ctx context.Context, item *entry.Item) error
	// SaveStatuses records the statuses of all entries beside the log, for readers
	// without a server (SPEC section 17). Merge is given what is recorded now and
	// returns what is to be; it returns nil where there is nothing to say. Writers
	// at the same instant do not harm each other: the later one counts, whole.
	SaveStatuses(ctx context.Context, merge func(recorded map[string]*entry.Status) []*entry.Status) error
}

// View is the catalog as one read of the log showed it. It is safe for concurrent
// use. What it is asked about the present costs no request. Under a policy, List of
// the past, Get and History look up no more than some signatures each: the verdict on
// what is beyond is unknown.
type View interface {
	// Live returns the live entries, by name.
	Live() []Head
	// Decisions returns what decides each name, whether it is live or not.
	Decisions() []Decision
	// Events returns what the revisions say that decide some names, as a history shows
	// them, without verdicts. A name that has none any more is left out.
	Events(ctx context.Context, names map[string]bool) ([]entry.Event, error)
	// Items returns what some of the live entries say, by name. A name that is not
	// live is left out. What is not in memory comes from the cache on disk or, as
	// the last resort, from the registry.
	Items(ctx context.Context, names map[string]bool) ([]entry.Item, error)
	// Empty reports whether the log has no revisions at all: nothing was ever
	// published, or all of it was taken away. A catalog whose entries were removed
	// is not empty.
	Empty() bool
	// Absent reports whether there is no catalog: the registry lists nothing at all.
	Absent() bool
	// Statuses returns the recorded statuses, by name of the entry; read-only.
	Statuses() map[string]*entry.Status
	// Equal reports whether both views showed the same entries with the same
	// statuses and places.
	Equal(other View) bool
	// SamePlaces reports whether both views say the same of where images can be had.
	SamePlaces(other View) bool
	// List returns what the options select, and how many names are kept back by the
	// policy that they could select. What no cache holds of the past is asked of the
	// registry.
	List(ctx context.Context, options ListOptions) (items []entry.Item, refused int, err error)
	// Claims returns what the publications of some names say, by name. A name of which
	// one cannot be read is left out. What no cache holds is asked of the registry.
	Claims(ctx context.Context, names map[string]bool) (map[string][]entry.Outline, error)
	// Get returns one entry as it was at a time, zero for now: the live publication,
	// or that of a version.
	Get(ctx context.Context, name, version string, asOf time.Time) (entry.Item, error)
	// History returns every revision of an entry, or of all for "", oldest first.
	History(ctx context.Context, name string) ([]entry.Event, error)
	// Evaluate checks the signatures of everything that decides a name, under the
	// policy of the catalog. What was found before under the same policy remains: for
	// good if the same revision was verified, and for some time if not. If nothing
	// came of it, Before is returned itself.
	Evaluate(ctx context.Context, options EvaluateOptions) (*Evaluation, error)
}

// ListOptions select the entries of a View.
type ListOptions struct {
	Query entry.Query // whatever its limit
	Image string      // of catalog.ListOptions
	AsOf  time.Time   // the catalog as it was then; zero is now
}

// Head is a live entry and the revision that makes it so.
type Head struct {
	Name     string
	Revision digest.Digest
}

// Decision is the revision that decides a name: a publication or a removal.
type Decision struct {
	Tag      revision.Tag
	Revision digest.Digest
}

// Admits returns what a policy found of a decision, and whether it lets it through.
// nil is no policy, and lets everything through.
func (e *Evaluation) Admits(d Decision) (verdict entry.Verdict, admitted bool) {
	if e == nil {
		return "", true
	}
	f := e.Findings[d.Tag.Name]
	if f == nil || f.Revision != d.Revision {
		return entry.VerdictUnknown, false
	}
	return f.Verdict, f.Err == nil
}

// Evaluation is what a policy makes of all names in a View: of their heads, and of
// those that have none any more. Whoever wants a name evaluated anew passes a copy
// without its finding as EvaluateOptions.Before. It is never changed.
type Evaluation struct {
	Policy   *trust.Policy
	Findings map[string]*Finding // by name
}

// Finding is what a policy makes of one name. It is never changed.
type Finding struct {
	Revision digest.Digest // that decides the name; "" where none is left
	Verdict  entry.Verdict
	Signers  []entry.Signer
	// Err is why the policy refuses the name: a *trust.Error. It is nil for what
	// is verified, and for what a rule only warns of.
	Err error
	// Stale says that nobody can tell now, and that it is what was found last.
	Stale    bool
	Doubtful bool      // it depends on what vanished
	At       time.Time // zero where there was no time to ask
}

// EvaluateOptions say what may be taken from the evaluation before.
type EvaluateOptions struct {
	Before  *Evaluation   // of an earlier View, or of this one; nil is none
	Renew   time.Duration // after how long that is looked into again which was not verified
	Offline bool          // asks no registry: what cannot be found out without is unknown
}
