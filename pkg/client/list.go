package client

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxPageLimit = 1000 // of the list route
	maxPages     = 10_000
	// What a query may hold for the list route to take it, with room to spare.
	maxRouteFilters = 64
	maxRouteQuery   = 3000
	routeAlphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:/=+@"
)

// List asks for what the query selects. Where the policy of the server refuses
// names, Refused has one without a name, whose Err is a *RefusedError that says how
// many they are.
func (c *Client) List(ctx context.Context, options catalog.ListOptions) (catalog.Page, error) {
	page, refused, err := c.list(ctx, options)
	if err != nil {
		return catalog.Page{}, err
	}
	return catalog.Page{Page: page, Refused: c.withheld(refused)}, nil
}

// withheld stands for as many names that the server does not list.
func (c *Client) withheld(names int) []catalog.Head {
	if names == 0 {
		return nil
	}
	return []catalog.Head{{Err: &RefusedError{c.base.Host, names}}}
}

// Heads lists what there is to verify, as List does.
func (c *Client) Heads(ctx context.Context) ([]catalog.Head, error) {
	page, refused, err := c.list(ctx, catalog.ListOptions{Query: entry.Query{Sort: entry.SortName}})
	if err != nil {
		return nil, err
	}
	var heads []catalog.Head
	for _, item := range page.Items {
		if c.catalog == "" || item.Catalog == c.catalog {
			heads = append(heads, catalog.Head{Name: item.Name, Revision: digest.Digest(item.Revision)})
		}
	}
	return append(heads, c.withheld(refused)...), nil
}

// list asks page by page. The server selects as entry.Query does; what its route
// does not take is selected here. refused is how many names its policy keeps back.
func (c *Client) list(ctx context.Context, options catalog.ListOptions) (page entry.Page, refused int, err error) {
	if err := options.Query.Check(); err != nil {
		return entry.Page{}, 0, err
	}
	query, whole := routeQuery(options.Query)
	if whole {
		return c.pages(ctx, query, options.AsOf, options.Query.Limit)
	}
	page, refused, err = c.pages(ctx, query, options.AsOf, 0)
	if err != nil {
		return entry.Page{}, 0, err
	}
	return options.Query.Select(page.Items), refused, nil
}

// routeQuery returns the parameters of the list route for a query, without its
// limit; whole reports whether they say all of it.
func routeQuery(q entry.Query) (query url.Values, whole bool) {
	query = url.Values{"phase": {cmp.Or(string(q.Phase), "all")}, "latest": {strconv.FormatBool(q.Latest)}, "sort": {cmp.Or(string(q.Sort), string(entry.SortCreated))}}
	for name, value := range map[string]string{"architecture": q.Architecture, "distro": q.Distro, "target": q.Target} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for _, tag := range q.Tags {
		query.Add("tags", tag)
	}
	for key, value := range q.Labels {
		query.Add("label", key+"="+value)
	}
	if len(q.Signed) > 0 {
		signed := make([]string, len(q.Signed))
		for n, verdict := range q.Signed {
			signed[n] = string(verdict)
		}
		query.Set("signed", strings.Join(signed, ","))
	}
	_, known := entry.ParsePhase(string(q.Phase))
	whole = known || q.Phase == ""
	for _, values := range query {
		for _, value := range values {
			whole = whole && strings.Trim(value, routeAlphabet) == ""
		}
	}
	if whole = whole && len(query["tags"])+len(query["label"]) <= maxRouteFilters && len(query.Encode()) < maxRouteQuery; whole {
		return query, true
	}
	wider := url.Values{"phase": {"all"}, "latest": {"false"}}
	if query.Has("signed") { // for the server to say that it checks no signatures
		wider["signed"] = query["signed"]
	}
	return wider, false
}

// pages reads pages of the list route until there are limit entries; 0 is all.
func (c *Client) pages(ctx context.Context, query url.Values, asOf time.Time, limit int) (all entry.Page, refused int, err error) {
	all.Items = []entry.Item{}
	query.Set("limit", strconv.Itoa(min(cmp.Or(limit, maxPageLimit), maxPageLimit)))
	setAsOf(query, asOf)
	r := request{method: http.MethodGet, path: imagesPath, query: query}
	for range maxPages {
		page, err := ask[api.List](ctx, c, r)
		if err != nil {
			return entry.Page{}, 0, err
		}
		all.Items, all.Total, refused = append(all.Items, page.Items...), page.Total, page.Refused
		only := !query.Has("continue") && page.Continue == ""
		if only && len(page.Items) < page.Total {
			return entry.Page{}, 0, c.notOurs(r, fmt.Errorf("%w: it has %d of %d entries", errNoServer, len(page.Items), page.Total))
		}
		if limit > 0 && len(all.Items) >= limit {
			all.Items = all.Items[:limit]
			break
		}
		if page.Continue == "" {
			break
		}
		query.Set("continue", page.Continue)
	}
	return all, refused, nil
}

func setAsOf(query url.Values, at time.Time) {
	if !at.IsZero() {
		query.Set("as-of", at.UTC().Format(time.RFC3339Nano))
	}
}
