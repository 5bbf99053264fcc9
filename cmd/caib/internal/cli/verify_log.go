package cli

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// examineLogs reads every revision of the catalogs, where all is to be verified. It
// returns what is not whole, and an error for each catalog of which something is not.
func (o *verifyOptions) examineLogs(ctx context.Context, catalogs []reader) (damage []catalog.Finding, failed []error) {
	if !o.all {
		return nil, nil
	}
	for _, one := range catalogs {
		c, isCatalog := one.(*catalog.Catalog)
		if !isCatalog {
			continue // a server reads the log for itself
		}
		found, err := c.Examine(ctx, catalog.ExamineOptions{LogOnly: true})
		if err != nil {
			failed = append(failed, fmt.Errorf("the revisions of %s: %w", c.Reference(), err))
			continue
		}
		damage = append(damage, found.Findings...)
		if err := found.Err(); err != nil {
			failed = append(failed, withHint(err, "`%s` says what can be mended", commandLine([]string{"caib", "catalog", "repair", c.Reference()})))
		}
	}
	if o.settings.output == "table" || o.settings.output == "wide" || o.settings.output == "" {
		for _, f := range damage {
			fmt.Fprintf(o.system.Out, "%s %s: %s: %s\n", f.What, f.Where, f.State, f.Reason)
		}
	}
	return damage, failed
}
