// Package referrertag names the tags that stand in for the Referrers API where a
// registry has none.
package referrertag

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/opencontainers/go-digest"
)

// Index is the tag of the index that lists the referrers of a digest
// (distribution-spec, "Referrers Tag Schema").
func Index(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

type catalogKey struct{}

// WithCatalog says for which catalog referrers are pushed, by its name in normal
// form: their own tags name it. Without it they name the repository that they
// are pushed to.
func WithCatalog(ctx context.Context, catalog string) context.Context {
	return context.WithValue(ctx, catalogKey{}, catalog)
}

// Own is the tag of a referrer that would have none, and that registries would
// collect: caib., the beginning of its digest, and of that of the catalog's
// name, or of the repository's where no catalog is said.
func Own(ctx context.Context, referrer digest.Digest, repository string) string {
	catalog, ok := ctx.Value(catalogKey{}).(string)
	if !ok {
		catalog = repository
	}
	sum := sha256.Sum256([]byte(catalog))
	return "caib." + referrer.Encoded()[:32] + "." + hex.EncodeToString(sum[:4])
}
