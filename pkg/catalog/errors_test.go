package catalog

import (
	"errors"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// A typed error says what is wrong, and is of the kind that its comment names.
func TestTypedErrors(t *testing.T) {
	lost := revision.Tag{Name: "a", Op: revision.OpRemove, Millis: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC).UnixMilli()}
	for _, tt := range []struct {
		err  error
		kind error
		text string
	}{
		{newConflictError("a", ""), entry.ErrConflict, `conflict: entry "a" exists already`},
		{newConflictError("a", "r/os/a:1"), entry.ErrConflict, `conflict: r/os/a:1 is published as "a" already`},
		{newLostError("a", lost), entry.ErrUnreachable, `entry "a": its latest revision (` + lost.String() + `, of 2026-01-02T00:00:00.000Z) is no longer in the registry`},
		{newUnsignedError("a", ""), entry.ErrUntrusted, `entry "a": not signed, and the policy trusts nobody to change it: no rule applies`},
		{newUnsignedError("a", "rule 1"), entry.ErrUntrusted, `entry "a": not signed, and rule 1 of the policy would refuse it`},
	} {
		if !errors.Is(tt.err, tt.kind) {
			t.Errorf("%T is not of the kind %v", tt.err, tt.kind)
		}
		if tt.err.Error() != tt.text {
			t.Errorf("%T says %q, want %q", tt.err, tt.err, tt.text)
		}
	}
}
