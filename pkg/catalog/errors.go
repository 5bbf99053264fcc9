package catalog

import (
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/kinded"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// ConflictError is an entry that a publication met. It is an entry.ErrConflict.
type ConflictError struct {
	kinded.Message        // says it, and has the kind
	Name           string // of the entry
	Image          string // that the entry has, under another name than the publication's; "" where the name itself is taken
	// Revision is the one that is live, where an edit was made for another one; ""
	// otherwise.
	Revision digest.Digest
}

func newConflictError(name, image string) *ConflictError {
	message := kinded.New(entry.ErrConflict, "%v: %s is published as %q already", entry.ErrConflict, image, name)
	if image == "" {
		message = kinded.New(entry.ErrConflict, "%v: entry %q exists already", entry.ErrConflict, name)
	}
	return &ConflictError{message, name, image, ""}
}

// newStaleRevisionError is the conflict of an edit, or a signature, of a revision that is
// not the head.
func newStaleRevisionError(name string, live digest.Digest) *ConflictError {
	return &ConflictError{kinded.New(entry.ErrConflict, "%v: entry %q has another revision now: %s", entry.ErrConflict, name, live), name, "", live}
}

// newSupersededError is for a publication that another revision of its name
// superseded at once.
func newSupersededError(by *revision.Revision) *ConflictError {
	did := "published"
	if by.Tag.Op == revision.OpRemove {
		did = "removed"
	}
	message := kinded.New(entry.ErrConflict, "%v: entry %q was %s by somebody else at the same time: %s decides it now", entry.ErrConflict, by.Tag.Name, did, by.Tag)
	return &ConflictError{Message: message, Name: by.Tag.Name, Revision: by.Digest}
}

// newHidingError is for an entry that was to be new, and turned out to have been live.
func newHidingError(name string, own revision.Tag, before *revision.Revision) *ConflictError {
	message := kinded.New(entry.ErrConflict, "%v: entry %q existed already, which the registry did not show before: %s is in front of %s now", entry.ErrConflict, name, own, before.Tag)
	return &ConflictError{message, name, "", ""}
}

// newBuriedError is for a publication of another image, or a removal, that an edit
// hides: whoever edits next is not to sign it unseen.
func newBuriedError(hidden, head *revision.Revision) *ConflictError {
	what := "a removal"
	if hidden.Document != nil {
		what = "a publication of " + hidden.Document.Image.Digest.String()
	}
	message := kinded.New(entry.ErrConflict, "%v: the edit %s hides %s, %s, which is not signed unseen: remove the entry, and publish what is to be in it", entry.ErrConflict, head.Tag, hidden.Tag, what)
	return &ConflictError{Message: message, Name: head.Tag.Name}
}

// newTwiceError is for an image that is live under two names now.
func newTwiceError(name string, by *revision.Revision) *ConflictError {
	image := by.Document.Image.Reference
	message := kinded.New(entry.ErrConflict, "%v: %s is published twice now, as %q and as %q", entry.ErrConflict, image, by.Tag.Name, name)
	return &ConflictError{Message: message, Name: by.Tag.Name, Image: image}
}

// newWithdrawnError is for a publication that was withdrawn.
func newWithdrawnError(name string, by *revision.Revision) *ConflictError {
	image := by.Document.Image.Reference
	message := kinded.New(entry.ErrConflict, "%v: %s was published as %q at the same time; %q was withdrawn", entry.ErrConflict, image, by.Tag.Name, name)
	return &ConflictError{Message: message, Name: by.Tag.Name, Image: image}
}

type (
	// MissingError says that a registry answers without so much of what this
	// reader saw in it that nothing can be said. It is an
	// entry.ErrUnreachable.
	MissingError = ocilog.MissingError
	// ClockError says that this machine's clock is not the registry's.
	// Nothing was written.
	ClockError = ocilog.ClockError
)

// LostError says that the latest revision of an entry is known to this reader,
// and that the registry no longer has it. It is an entry.ErrUnreachable: what the
// entry is now cannot be said. AcceptLoss moves on from it.
type LostError struct {
	kinded.Message // says it, and has the kind
	Name           string
	Tag            string // of the revision
}

func newLostError(name string, tag revision.Tag) *LostError {
	return &LostError{kinded.New(entry.ErrUnreachable, "entry %q: its latest revision (%s, of %s) is no longer in the registry", name, tag, tag.Time()), name, tag.String()}
}

// lostOf names the last of what vanished of a name.
func lostOf(name string, vanished []ocilog.Vanished) error {
	return newLostError(name, vanished[len(vanished)-1].Tag)
}

// HiddenError is a catalog that cannot be read, and to which an upload may
// begin: perhaps it does not exist yet. It has the kind of the refusal.
// PublishOptions.Init begins the catalog.
type HiddenError struct {
	kinded.Message        // how reading was refused
	Catalog        string // its reference
}

// UnsignedError says that a change was not made because nobody was to sign it,
// and the policy of this writer would refuse the result. It is an
// entry.ErrUntrusted.
type UnsignedError struct {
	kinded.Message        // says it, and has the kind
	Name           string // of the entry
	Rule           string // that would refuse it; "" where no rule applies
}

func newUnsignedError(name, rule string) *UnsignedError {
	message := kinded.New(entry.ErrUntrusted, "entry %q: not signed, and %s of the policy would refuse it", name, rule)
	if rule == "" {
		message = kinded.New(entry.ErrUntrusted, "entry %q: not signed, and the policy trusts nobody to change it: no rule applies", name)
	}
	return &UnsignedError{message, name, rule}
}
