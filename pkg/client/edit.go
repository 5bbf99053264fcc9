package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/wire"
)

// maxEditRounds bounds how often an edit is made while the entry gets other revisions.
const maxEditRounds = 3

// Edit has the server edit an entry. Options with Sign or Unsigned are an
// entry.ErrInvalid. The change is made to the item that the server shows; if another
// revision is live by then, it is made again to that one, unless options.Match names
// the only one that is meant.
func (c *Client) Edit(ctx context.Context, name string, change entry.Change, options catalog.EditOptions) (catalog.PublishResult, error) {
	switch {
	case options.Sign != nil:
		return catalog.PublishResult{}, errNoSigner
	case options.Unsigned:
		return catalog.PublishResult{}, errServerPolicy
	}
	for round := 1; ; round++ {
		item, err := c.Get(ctx, name, catalog.GetOptions{})
		if err != nil {
			return catalog.PublishResult{}, err
		}
		patch, err := api.NewPatch(&item, &change)
		if err != nil {
			return catalog.PublishResult{}, err
		}
		r := request{method: http.MethodPatch, path: imagesPath + "/" + name, query: url.Values{}, body: patch, match: item.Revision}
		if options.Match != "" {
			r.match = options.Match
		}
		if options.DryRun {
			r.query.Set("dry-run", "true")
		}
		made, err := ask[api.Publication](ctx, c, r)
		failed, ok := errors.AsType[*Error](err)
		overtaken := ok && failed.Problem != nil && failed.Problem.Status == http.StatusPreconditionFailed
		if round < maxEditRounds && options.Match == "" && overtaken {
			continue
		}
		return wire.Result(&made), err
	}
}

// ifMatch is the header that makes a request one about a revision.
func ifMatch(revision digest.Digest) string { return `"` + revision.String() + `"` }
