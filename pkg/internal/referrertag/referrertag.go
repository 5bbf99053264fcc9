// Package referrertag names the tags that stand in for the Referrers API where a
// registry has none, and those that keep what would have no tag from being collected.
package referrertag

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

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
	return Keep(catalog, referrer)
}

// Keep is the tag that keeps a manifest for a catalog, which is named in normal form.
func Keep(catalog string, manifest digest.Digest) string {
	sum := sha256.Sum256([]byte(catalog))
	return prefix + manifest.Encoded()[:32] + "." + hex.EncodeToString(sum[:4])
}

const prefix = "caib."

// IsKeep reports whether a tag is one of Keep or Own: a name of ours, not of whoever
// pushed the image.
func IsKeep(tag string) bool {
	rest, ok := strings.CutPrefix(tag, prefix)
	manifest, catalog, _ := strings.Cut(rest, ".")
	return ok && isHex(manifest, 32) && isHex(catalog, 8)
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}
