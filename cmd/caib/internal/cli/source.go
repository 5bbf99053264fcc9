package cli

import (
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// reader is where entries are found: a *catalog.Catalog, or an index server.
type reader interface {
	Reference() string
	List(ctx context.Context, options catalog.ListOptions) (catalog.Page, error)
	Get(ctx context.Context, name string, options catalog.GetOptions) (entry.Item, error)
	GetImage(ctx context.Context, image string) (catalog.ImageEntries, error)
	History(ctx context.Context, name string) ([]entry.Event, error)
	Heads(ctx context.Context) ([]catalog.Head, error)
	Verify(ctx context.Context, name string, options catalog.VerifyOptions) (catalog.Verification, error)
}

// writer is what verbs write to.
type writer interface {
	reader
	Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.PublishResult, error)
	Edit(ctx context.Context, name string, change entry.Change, options catalog.EditOptions) (catalog.PublishResult, error)
	Remove(ctx context.Context, name string, options catalog.RemoveOptions) (catalog.RemoveResult, error)
}

// readers opens the index server of the settings, else every catalog of them,
// under a policy; nil is none. A server is not asked under a policy: what it says
// of signatures is its word, and checking means to look. verified without a policy
// takes its word: nothing but what it has verified.
func (a *app) readers(policy *trust.Policy, verified bool) ([]reader, error) {
	if a.settings.server != "" {
		if policy != nil {
			return nil, withHint(fmt.Errorf("%w: signatures cannot be verified through the server %s", entry.ErrInvalid, a.settings.server),
				"ask the registry itself: give --catalog, and no --server; or take the server's word: --verified, without a policy, key or identity")
		}
		r, err := a.newRemote()
		if err != nil {
			return nil, err
		}
		r.verified = verified
		return []reader{r}, nil
	}
	catalogs, err := a.openWith(policy)
	if err != nil {
		return nil, err
	}
	all := make([]reader, len(catalogs))
	for i, c := range catalogs {
		all[i] = c
	}
	return all, nil
}

// writer opens the server, or the one catalog, that a verb writes to.
func (a *app) writer(ctx context.Context) (writer, error) {
	if a.settings.server != "" {
		return a.newRemote()
	}
	return a.openOne(ctx)
}

// reference names what the settings read from, for messages.
func (s *settings) reference() string {
	if s.server != "" {
		return s.server
	}
	return s.catalogs[0]
}
