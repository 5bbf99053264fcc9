package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/normal"
	"github.com/oci-catalog/caib/pkg/registry"
)

// failuresToFail is how many failures in a row make an entry Failed.
const failuresToFail = 5

// What a probe returns that found the image, and something else about the tag
// that it was published by.
var (
	ErrMoved      = errors.New("the tag was moved")         // to another image, or deleted
	ErrTagUnknown = errors.New("the tag was not looked at") // its registry did not say what it names
)

// outcome is what the answer to a probe says about an entry.
type outcome struct {
	phase    entry.Phase
	reason   string
	answered bool // the registry did its work: the breaker counts a success
	tag      tag
}

// tag is what a probe found out about the tag of a reference.
type tag int

const (
	tagUnknown tag = iota
	tagStands      // it names what was published, or there is none
	tagMoved
)

// outcomeOf gives the answer to a probe its meaning (SPEC section 17).
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outcome{phase: entry.PhaseAvailable, answered: true, tag: tagStands}
	case errors.Is(err, ErrMoved):
		return outcome{phase: entry.PhaseAvailable, answered: true, tag: tagMoved}
	case errors.Is(err, ErrTagUnknown):
		return outcome{phase: entry.PhaseAvailable, answered: true}
	case errors.Is(err, entry.ErrNotFound):
		return outcome{phase: entry.PhaseFailed, reason: ReasonManifestUnknown, answered: true}
	case errors.Is(err, entry.ErrUnauthorized):
		return outcome{phase: entry.PhaseFailed, reason: ReasonUnauthorized, answered: true}
	case errors.Is(err, entry.ErrInvalid), errors.Is(err, entry.ErrMalformed):
		return outcome{phase: entry.PhaseFailed, reason: ReasonInvalidManifest, answered: true}
	case isThrottled(err):
		return outcome{phase: entry.PhaseUnavailable, reason: ReasonThrottled}
	}
	return outcome{phase: entry.PhaseUnavailable, reason: ReasonRegistryUnreachable}
}

func isThrottled(err error) bool {
	var answer *registry.Error
	return errors.As(err, &answer) && answer.Cause == registry.CauseThrottled
}

// Message is what is said, beside the reason, of a status that is not Available.
// It is the same whatever the registry answered: statuses are shown to everybody,
// and what a host of an internal network answers to a server is not for everybody.
func Message(phase entry.Phase, reason string) string {
	if phase == entry.PhaseFailed && (reason == ReasonRegistryUnreachable || reason == ReasonThrottled) {
		return "the registry did not answer five times in a row"
	}
	switch reason {
	case ReasonRegistryUnreachable:
		return "the registry does not answer, or not as a registry does"
	case ReasonManifestUnknown:
		return "the registry has no such image"
	case ReasonDigestMismatch:
		return "the reference names another image than the one that was published" // as earlier probers recorded
	case ReasonUnauthorized:
		return "the registry refuses the account that it is asked as"
	case ReasonThrottled:
		return "the registry does not answer so many requests"
	case ReasonInvalidManifest:
		return "what the registry has there is no image"
	}
	return ""
}

// after is the status after a probe that is dated with a time and was really
// made. Anyone may ask for probes out of turn, so of those that get no answer
// only the first is counted: else a few seconds would make five failures. What
// the registry said for certain stands until it says something else.
func after(old entry.Status, v outcome, dated time.Time, inTurn bool) entry.Status {
	if !v.answered && isDefinite(old) {
		return stale(old, dated)
	}
	at := entry.NewTime(dated)
	next := old
	next.StaleSince, next.Reason, next.Failures = nil, v.reason, 0
	if v.phase != entry.PhaseAvailable {
		next.Failures = old.Failures + 1
	}
	if !v.answered && !inTurn {
		next.Failures = max(old.Failures, 1)
	}
	if v.answered {
		next.LastVerified = at
	}
	switch {
	case v.tag == tagStands:
		next.MovedSince = nil
	case v.tag == tagMoved && old.MovedSince == nil:
		next.MovedSince = &at
	}
	next.Phase = v.phase
	if v.phase == entry.PhaseUnavailable && next.Failures >= failuresToFail {
		next.Phase = entry.PhaseFailed
	}
	next.Message = Message(next.Phase, next.Reason)
	if next.Phase != old.Phase {
		next.Since = at
	}
	return next
}

// isDefinite reports whether a status is what a registry answered about the
// digest, and not that it did not.
func isDefinite(s entry.Status) bool {
	switch s.Reason {
	case ReasonManifestUnknown, ReasonUnauthorized, ReasonInvalidManifest:
		return s.Phase == entry.PhaseFailed
	}
	return false
}

// stale is the status after a probe from which nothing new is known: the breaker
// kept it from being made, or it tried on its behalf and failed, or it got no
// answer where there was a definite one before.
func stale(old entry.Status, dated time.Time) entry.Status {
	if old.StaleSince == nil {
		at := entry.NewTime(dated)
		old.StaleSince = &at
	}
	return old
}

// Initial is the status of an item that a Monitor begins to watch: the recorded
// one, or that of a publication, which inspected the image. recorded
// may be nil.
func Initial(item *entry.Item, recorded *entry.Status) entry.Status {
	return newer(entry.Status{
		Name: item.Name, Revision: item.Revision, Phase: entry.PhaseAvailable,
		LastVerified: item.PublishedAt, Since: item.PublishedAt,
	}, recorded)
}

// newer is ours, or what is recorded of the same revision if that says more: it
// was verified later, or knows of more probes since that got no answer. Of the
// accesses, the higher count is taken.
func newer(ours entry.Status, recorded *entry.Status) entry.Status {
	if recorded == nil {
		return ours
	}
	accesses := max(ours.Accesses, recorded.Accesses)
	if recorded.Revision == ours.Revision && cmp.Or(
		recorded.LastVerified.Compare(ours.LastVerified.Time),
		cmp.Compare(recorded.Failures, ours.Failures),
	) > 0 {
		ours = *recorded
		ours.Message = Message(ours.Phase, ours.Reason) // others may have recorded an answer
	}
	ours.Accesses = accesses
	return ours
}

// Probe asks the registry of an item whether the digest that was published can be
// had. It returns nil, an error that wraps ErrMoved or ErrTagUnknown, or one of the
// kinds of package entry; one that is a gate.ErrNotAllowed says that nothing was
// asked.
type Probe func(ctx context.Context, item *entry.Item) error

// Registry probes by one HEAD request of the digest, and, if it is there and was
// published by a tag, one of that tag. What HEAD does not find is asked for once
// more by GET.
func Registry(open func(registry.Reference) (registry.Repository, error)) Probe {
	return func(ctx context.Context, item *entry.Item) error {
		ref, err := registry.ParseReference(item.RegistryURL)
		if err != nil {
			return err
		}
		repository, err := open(ref)
		if err != nil {
			return err
		}
		if _, err := absence.Confirm(ctx, repository, item.Digest.String()); err != nil {
			return err
		}
		return checkTag(ctx, repository, ref, item.Digest)
	}
}

// checkTag asks what the tag of a reference names by now. A reference without tag
// and digest means a tag, too: the default one.
func checkTag(ctx context.Context, repository absence.Reader, ref registry.Reference, published digest.Digest) error {
	if ref.Tag == "" && ref.Digest != "" {
		return nil
	}
	ref.Digest = ""
	found, err := absence.Confirm(ctx, repository, ref.Target())
	switch {
	case errors.Is(err, entry.ErrNotFound):
		return fmt.Errorf("%w: there is no %s any more", ErrMoved, ref)
	case err != nil:
		return fmt.Errorf("%w: %v", ErrTagUnknown, err) // its kind says nothing about the entry
	case found.Digest != published:
		return fmt.Errorf("%w: %s is %s now, not %s", ErrMoved, ref, found.Digest, published)
	}
	return nil
}

// localHost stands for the image layouts on disk.
const localHost = "oci:"

// hostOf is the registry that a probe of a reference asks: what a breaker and
// the limits are about.
func hostOf(reference string) string {
	ref, err := registry.ParseReference(reference)
	if err != nil || ref.Layout != "" {
		return localHost
	}
	return normal.Host(ref.Registry)
}
