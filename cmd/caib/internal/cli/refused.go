package cli

import (
	"errors"
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// refusedError says what of a catalog the policy refuses or, without one, what is
// lost. It wraps the error of each name.
type refusedError struct {
	catalog string
	errors  []error
}

// refused returns a *refusedError for those heads that are refused; nil for none.
func refused(catalog string, heads []catalog.Head) error {
	var all []error
	for _, head := range heads {
		if isRefused(head) {
			all = append(all, head.Err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &refusedError{catalog, all}
}

func isRefused(head catalog.Head) bool { return head.Err != nil }

func (e *refusedError) Error() string {
	if len(e.errors) == 1 {
		return e.errors[0].Error()
	}
	var lost *catalog.LostError
	if errors.As(e.errors[0], &lost) { // without a policy, nothing else is refused
		return fmt.Sprintf("%d entries of %s are lost", len(e.errors), e.catalog)
	}
	return fmt.Sprintf("the policy refuses %d entries of %s", len(e.errors), e.catalog)
}

func (e *refusedError) Unwrap() []error { return e.errors }
