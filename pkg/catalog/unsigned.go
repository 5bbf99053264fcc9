package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// unsigned decides about a change that nobody signs: of head, which decides the
// name now and is nil for a new one, to a publication of image, or to a removal
// for nil. The policy may refuse it; a *UnsignedError says so unless that is
// meant. Otherwise a warning says what the change takes away or meets; nil is none.
func (c *Catalog) unsigned(ctx context.Context, view *ocilog.View, name string, head *revision.Revision, image *revision.Image, meant bool) (warning *Warning, err error) {
	warn := func(format string, args ...any) *Warning {
		return &Warning{WarnPolicy, name, fmt.Errorf(format, args...)}
	}
	if c.policy() == nil {
		if head != nil && c.seemsSigned(ctx, view, head) {
			return warn("the head of entry %q is signed, and this is not: readers who demand signatures will refuse it", name), nil
		}
		return nil, nil
	}
	rule := c.policy().For(c.Reference(), name)
	switch {
	case image != nil && rule.Name != "" && !slices.Contains(rule.Require, trust.SubjectEntry) && admits(rule, c.normal) && c.newEvaluator(nil, zeroTime).image(ctx, rule, *image).Result == entry.VerdictVerified:
		return nil, nil // the entry itself need not be signed
	case rule.Warn && head != nil && c.verifies(ctx, head):
		return warn("the head of entry %q is verified, and this is not signed: %s of the policy warns of it", name, rule.Name), nil
	case rule.Warn:
		return nil, nil
	case !meant:
		return nil, newUnsignedError(name, rule.Name)
	}
	return warn("entry %q is not signed, and the policy refuses it like this", name), nil
}

// checkUnsigned returns an error where nobody signs what the policy wants signed:
// this publication, and the removals of what has the image under other names.
func (p *publication) checkUnsigned(ctx context.Context) error {
	if p.options.Sign != nil {
		return nil
	}
	for _, head := range append([]*revision.Revision{p.head}, p.elsewhere...) {
		name, image := p.name, &p.document.Image
		if head != nil && head.Tag.Name != p.name {
			name, image = head.Tag.Name, nil
		}
		warning, err := p.catalog.unsigned(ctx, p.view, name, head, image, p.options.Unsigned)
		if err != nil {
			return fmt.Errorf("publish %s: %w", p.name, err)
		}
		if warning != nil {
			p.result.Warnings = append(p.result.Warnings, *warning)
		}
	}
	return nil
}

// seemsSigned reports whether a revision has signatures, good or not, as far as is
// known here, a view lists them, or one request tells. Nobody is refused for it.
func (c *Catalog) seemsSigned(ctx context.Context, view *ocilog.View, revision *revision.Revision) bool {
	if len(c.log.Signatures(revision.Tag)) > 0 || view.Lists(signature.LegacyTag(revision.Digest)) {
		return true
	}
	referrers, err := c.repository.Referrers(ctx, manifestDescriptor(revision))
	if err != nil {
		return false
	}
	for _, referrer := range referrers {
		// Some registries list the type of the configuration.
		if strings.HasPrefix(referrer.ArtifactType, "application/vnd.dev.sigstore.bundle") || referrer.ArtifactType == ocispec.MediaTypeEmptyJSON {
			return true
		}
	}
	return false
}
