package cli

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// twins returns an error for each image that is live under a second name, with the
// command that mends it.
func twins(heads []catalog.Head) (found []error) {
	for _, head := range heads {
		if head.Twin != "" {
			err := fmt.Errorf("%w: %s is published twice, as %q and as %q", entry.ErrConflict, head.Image, head.Twin, head.Name)
			found = append(found, withHint(err, "end one of them: `caib catalog remove %[1]s`; or keep that one and end the other: `caib catalog publish %[2]s --name %[1]s --move`", head.Name, head.Image))
		}
	}
	return found
}

// tellTwins tells people of them, and is part of what is wrong.
func (o *verifyOptions) tellTwins(twins []error) {
	if o.settings.output == "json" {
		return // they are in the document
	}
	for _, err := range twins {
		o.printError(err)
	}
}

// problems are errors in a document.
func problems(errs []error) []*problem {
	all := []*problem{}
	for _, err := range errs {
		all = append(all, newProblem(err))
	}
	return all
}
