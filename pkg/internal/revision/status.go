package revision

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

// MaxStatusMessage bounds the message of a status, in bytes.
const MaxStatusMessage = 1024

// CheckStatus reports a status that a reader must not believe: it may come from
// whoever can write to the catalog. The error is an entry.ErrMalformed.
func CheckStatus(s *entry.Status) error {
	malformed := func(what string) error {
		return fmt.Errorf("%w: status of %q: %s", entry.ErrMalformed, shorten(s.Name), what)
	}
	phase, known := entry.ParsePhase(string(s.Phase))
	switch {
	case entry.CheckName(s.Name) != nil:
		return malformed("not a name")
	case !known || phase != s.Phase:
		return malformed("unknown phase")
	case !isText(s.Reason, 64), !isText(s.Message, MaxStatusMessage):
		return malformed("reason or message is no plain ASCII text")
	case s.Accesses < 0 || s.Failures < 0:
		return malformed("negative count")
	}
	return nil
}
