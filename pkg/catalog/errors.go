package catalog

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// ConflictError is an entry that a publication met. It is an entry.ErrConflict.
type ConflictError struct {
	Name  string // of the entry
	Image string // that the entry has, under another name than the publication's; "" where the name itself is taken
}

// Error says what is there.
func (e *ConflictError) Error() string {
	if e.Image == "" {
		return fmt.Sprintf("%v: entry %q exists already", entry.ErrConflict, e.Name)
	}
	return fmt.Sprintf("%v: %s is published as %q already", entry.ErrConflict, e.Image, e.Name)
}

// Is makes the error an entry.ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == entry.ErrConflict }

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
	Name string
	Tag  revision.Tag // of the revision
}

func (e *LostError) Error() string {
	return fmt.Sprintf("entry %q: its latest revision (%s, of %s) is no longer in the registry", e.Name, e.Tag, e.Tag.Time())
}

// Is makes it an entry.ErrUnreachable.
func (e *LostError) Is(target error) bool { return target == entry.ErrUnreachable }

// newLostError names the last of what vanished of a name.
func newLostError(name string, vanished []ocilog.Vanished) error {
	return &LostError{name, vanished[len(vanished)-1].Tag}
}
