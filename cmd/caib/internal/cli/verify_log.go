package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
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

// damageOf is why catalogs could not be listed, once their logs were examined: where every
// part of them answered, and some are not whole, it is the damage, and trying again is no
// use. Entries that are lost are said otherwise.
func damageOf(unlisted, examined error) error {
	if hidden(unlisted) == 0 && errors.Is(unlisted, entry.ErrUnreachable) && entry.Code(examined) == entry.Code(entry.ErrMalformed) {
		return fmt.Errorf("%w: %v", entry.ErrMalformed, unlisted)
	}
	return unlisted
}
