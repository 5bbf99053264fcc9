package catalog

import (
	"context"
	"errors"

	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Some registries refuse to show a repository that does not exist yet, in the
// words in which they refuse one that does. Only the publisher knows which it is.

// HiddenError is a catalog that cannot be read, and to which an upload may
// begin: perhaps it does not exist yet. PublishOptions.Init begins it.
type HiddenError struct {
	Catalog string // its reference
	err     error
}

// Error says how reading was refused.
func (e *HiddenError) Error() string { return e.err.Error() }

// Unwrap returns the refusal.
func (e *HiddenError) Unwrap() error { return e.err }

type beginKey struct{}

// begin returns the view of a catalog that does not exist yet, if that is what a
// refusal to read it means and the publisher wants to begin it. What this reader
// saw in the catalog before is asked for all the same.
func (p *publication) begin(ctx context.Context, refused error) (*ocilog.View, error) {
	var answer *registry.Error
	hidden := registry.HidesAbsence(refused) || errors.As(refused, &answer) && answer.Cause == registry.CauseHidden
	if !hidden || p.options.DryRun && !p.options.Init {
		return nil, refused
	}
	if p.catalog.options.Registry.CanPush(ctx, p.catalog.reference) != nil {
		return nil, refused
	}
	if !p.options.Init {
		return nil, &HiddenError{p.catalog.Reference(), refused}
	}
	return p.catalog.refresh(context.WithValue(ctx, beginKey{}, true))
}
