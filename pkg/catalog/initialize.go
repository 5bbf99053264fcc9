package catalog

import (
	"context"
	"errors"

	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/kinded"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Some registries refuse to show a repository that does not exist yet, in the
// words in which they refuse one that does. Only the publisher knows which it is.

type initKey struct{}

// initialize returns the view of a catalog that does not exist yet, if that is what a
// refusal to read it means and the publisher wants to begin it. What this reader
// saw in the catalog before is asked for all the same.
func (p *publication) initialize(ctx context.Context, refused error) (*ocilog.View, error) {
	if !isHidden(refused) || p.options.DryRun && !p.options.Init {
		return nil, refused
	}
	if p.catalog.opener.canPush(ctx, p.catalog.reference) != nil {
		return nil, refused
	}
	if !p.options.Init {
		return nil, &HiddenError{kinded.New(refused, "%s", refused), p.catalog.Reference()}
	}
	p.begins = true
	return p.catalog.refresh(context.WithValue(ctx, initKey{}, true))
}

// isHidden reports whether a registry refuses to show a repository in the words that
// it has for one that does not exist.
func isHidden(err error) bool {
	var answer *registry.Error
	return errors.Is(err, absence.ErrHidden) || errors.As(err, &answer) && answer.Cause == registry.CauseHidden
}
