package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// Get asks for one entry.
func (c *Client) Get(ctx context.Context, name string, options catalog.GetOptions) (entry.Item, error) {
	if err := entry.CheckName(name); err != nil {
		return entry.Item{}, err
	}
	query := url.Values{}
	setAsOf(query, options.AsOf)
	if options.Version != "" {
		query.Set("version", options.Version)
	}
	return ask[entry.Item](ctx, c, request{method: http.MethodGet, path: imagesPath + "/" + name, query: query})
}

// History asks for the revisions of one entry, or of all for "", oldest first.
func (c *Client) History(ctx context.Context, name string) ([]entry.Event, error) {
	path := api.Root + "/history"
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
		path = imagesPath + "/" + name + "/history"
	}
	all, err := ask[api.History](ctx, c, request{method: http.MethodGet, path: path})
	return all.Items, err
}

// Verify has the server check an entry, and waits for what it finds.
func (c *Client) Verify(ctx context.Context, name string, options catalog.VerifyOptions) (catalog.Verification, error) {
	if err := entry.CheckName(name); err != nil {
		return catalog.Verification{Name: name}, err
	}
	query := url.Values{"wait": {"true"}}
	if options.StrictReference {
		query.Set("strict-reference", "true")
	}
	if c.catalog != "" {
		query.Set("catalog", c.catalog)
	}
	answer, err := ask[api.Verification](ctx, c, request{method: http.MethodPost, path: imagesPath + "/" + name + "/verify", query: query})
	if err == nil && answer.Failure != nil {
		answer.Failure.Status = http.StatusOK
		err = problemError(answer.Failure)
	}
	if answer.Verification == nil {
		return catalog.Verification{Name: name}, err
	}
	return *answer.Verification, err
}

// Catalogs returns a client for each catalog that the server serves, whose Heads
// and Verify are about this one alone.
func (c *Client) Catalogs(ctx context.Context) ([]*Client, error) {
	answer, err := ask[api.Readiness](ctx, c, request{method: http.MethodGet, path: "/readyz"})
	if err != nil {
		return nil, err
	}
	if len(answer.Catalogs) < 2 {
		return []*Client{c}, nil // then entries do not say where they are from
	}
	var all []*Client
	for _, one := range answer.Catalogs {
		of := *c
		of.catalog = one.Catalog
		all = append(all, &of)
	}
	return all, nil
}
