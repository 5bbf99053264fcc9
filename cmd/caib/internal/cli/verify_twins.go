package cli

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// twins returns an error for each image that is live under a second name, with the
// command that mends it.
func twins(heads []catalog.Head) (found []error) {
	for _, head := range heads {
		if head.Twin != "" {
			err := fmt.Errorf("%w: %s is published twice, as %q and as %q", entry.ErrConflict, head.Image, head.Twin, head.Name)
			help := fmt.Sprintf("end one of them: `caib catalog remove %s`", head.Name)
			if _, invalid := registry.ParseReference(head.Image); invalid == nil {
				help += fmt.Sprintf("; or keep that one and end the other: `%s`", commandLine([]string{"caib", "catalog", "publish", head.Image, "--name", head.Name, "--move"}))
			}
			found = append(found, withHint(err, "%s", help))
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
