package cli

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// demand returns an error for an entry that the server did not verify, where that
// is demanded. The verdict is the server's word.
func (r *remote) demand(name string, verdict trust.Verdict) error {
	switch {
	case !r.verified || verdict == trust.Verified:
		return nil
	case verdict == "":
		return r.checksNothing()
	}
	return &trust.Error{What: fmt.Sprintf("entry %q", name), Verdict: verdict, Reason: "so the server says, whose policy only warns of it"}
}

// checksNothing is why nothing of a server can be demanded to be verified.
func (r *remote) checksNothing() error {
	return withHint(fmt.Errorf("%w: --verified: the server %s checks no signatures: it has no trust policy", entry.ErrInvalid, r.base.Host),
		"ask the registry itself: give --catalog and --key, and no --server; or start the server with `caib catalog serve --policy FILE`")
}

// keptBack says how many names the policy of a server refuses: the server does not
// list them. It is an entry.ErrUntrusted.
type keptBack struct {
	host  string
	names int
}

func (e *keptBack) Error() string {
	return fmt.Sprintf("the policy of the server %s refuses %d of its names: get NAME says why", e.host, e.names)
}

// Is makes it an entry.ErrUntrusted.
func (e *keptBack) Is(target error) bool { return target == entry.ErrUntrusted }

// refusal is the error of a list without the names that the server keeps back, and
// without others that it did not verify; nil if there are none.
func (r *remote) refusal(names int, others []entry.Item) error {
	var refused []error
	if names > 0 {
		refused = append(refused, &keptBack{r.base.Host, names})
	}
	for _, item := range others {
		refused = append(refused, r.demand(item.Name, trust.Verdict(item.Verdict)))
	}
	if len(refused) == 0 {
		return nil
	}
	return &catalog.RefusedError{Catalog: r.Reference(), Refused: refused}
}

// signedCell is a verdict as tables show it: one that was not found out here is a
// server's word.
func (a *app) signedCell(verdict string) string {
	if verdict != "" && a.settings.server != "" {
		return verdict + " (server)"
	}
	return verdict
}
