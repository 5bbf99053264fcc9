package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/registry"
)

const (
	originWait = 5 * time.Second // for the origin of what can be had elsewhere: its network may be sealed off
	awayFor    = time.Minute     // that a host is not asked again which did not answer
)

// placesOf returns what an image is read from, by digest, and whether that may be
// elsewhere than its origin.
func (c *Catalog) placesOf(ctx context.Context, ref registry.Reference, origin registry.Repository) (repository registry.Repository, elsewhere bool, err error) {
	copies := c.copiesOf(ctx, ref)
	if ref, err = c.opener.pass(ref); err != nil {
		return nil, false, err
	}
	places, err := c.opener.client.Places(ref, copies...)
	if err != nil || len(places) < 2 {
		return origin, false, err
	}
	repository, err = c.opener.client.OpenMirrored(ref, copies...)
	return repository, true, err
}

// answeredBy is where a content came from, if not from where it was published.
func (c *Catalog) answeredBy(repository registry.Repository, d digest.Digest, ref registry.Reference) *registry.Reference {
	places, ok := repository.(several)
	if !ok {
		return nil
	}
	at, err := registry.ParseReference(places.Answered(d))
	if err != nil || at.Normal().Base() == ref.Normal().Base() {
		return nil
	}
	return &at
}

// namedNow asks what a tag names now. If its content may be had elsewhere, that is
// waited for a short while, and a host that did not answer is not asked again at once.
func (c *Catalog) namedNow(ctx context.Context, ref registry.Reference, origin registry.Repository, elsewhere bool) (ocispec.Descriptor, error) {
	ref.Digest = ""
	if !elsewhere {
		return absence.Confirm(ctx, origin, ref.Target())
	}
	host := ref.Normal().Registry
	if at, known := c.away.Load(host); known && time.Since(at.(time.Time)) < awayFor {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s did not answer a short while ago", entry.ErrUnreachable, host)
	}
	within, cancel := context.WithTimeout(ctx, originWait)
	defer cancel()
	named, err := absence.Confirm(within, origin, ref.Target())
	if ctx.Err() == nil && (within.Err() != nil || errors.Is(err, entry.ErrUnreachable) || errors.Is(err, entry.ErrTimeout)) {
		c.away.Store(host, time.Now())
	}
	return named, err
}

// location is where an item's image is asked for first, by digest; "" where it was
// published.
func (c *Catalog) location(ctx context.Context, item *entry.Item) string {
	ref, err := registry.ParseReference(item.RegistryURL)
	if err != nil {
		return ""
	}
	ref.Digest = item.Digest
	places, err := c.opener.client.Places(ref, c.copiesOf(ctx, ref)...)
	if err != nil || places[0].Normal().Base() == ref.Normal().Base() {
		return ""
	}
	return places[0].String()
}
