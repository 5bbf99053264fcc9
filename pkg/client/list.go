package client

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	maxPageLimit = 1000 // of the list route
	maxPages     = 10_000
	// What a query may hold for the list route to take it, with room to spare.
	maxRouteFilters = 64 // targets, tags, labels and verdicts
	maxRouteQuery   = 3000
	routeAlphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:/=+@"
)

// List asks for what the query selects. Where the policy of the server refuses
// names that the query could match, Refused has one without a name, whose Err is a
// *RefusedError that says how many they are. Absent says that one of the server's
// catalogs does not exist.
func (c *Client) List(ctx context.Context, options catalog.ListOptions) (catalog.Page, error) {
	answer, err := c.list(ctx, options)
	if err != nil {
		return catalog.Page{}, err
	}
	return catalog.Page{
		Page: entry.Page{Items: answer.Items, Total: answer.Total}, Facets: answer.Facets,
		Refused: c.withheld(answer.Refused), Absent: len(answer.Absent) > 0,
	}, nil
}

// withheld stands for as many names that the server does not list.
func (c *Client) withheld(names int) []catalog.Head {
	if names == 0 {
		return nil
	}
	return []catalog.Head{{Err: newRefusedError(c.base.Host, names)}}
}

// list asks page by page. The server selects as entry.Query does; what its route
// does not take is selected here.
func (c *Client) list(ctx context.Context, options catalog.ListOptions) (api.List, error) {
	q := options.Query
	if err := q.Check(); err != nil {
		return api.List{}, err
	}
	query, whole := routeQuery(q)
	if options.Image != "" {
		query.Set("image", options.Image)
	}
	if whole {
		if options.Facets {
			query.Set("facets", "true")
		}
		return c.pages(ctx, query, options.AsOf, q.Limit)
	}
	answer, err := c.pages(ctx, query, options.AsOf, 0)
	if err != nil {
		return api.List{}, err
	}
	q.Limit = 0
	page := q.Select(answer.Items)
	if answer.Items, answer.Total = page.Items, page.Total; options.Facets {
		answer.Facets = entry.CountFacets(page.Items)
	}
	if limit := options.Query.Limit; limit > 0 && limit < page.Total {
		answer.Items = page.Items[:limit]
	}
	return answer, nil
}

// routeQuery returns the parameters of the list route for a query, without its
// limit; whole reports whether they say all of it.
func routeQuery(q entry.Query) (query url.Values, whole bool) {
	query = url.Values{"phase": {cmp.Or(string(q.Phase), "all")}, "latest": {strconv.FormatBool(q.Latest)}, "sort": {cmp.Or(string(q.Sort), string(entry.SortCreated))}}
	for name, value := range map[string]string{"architecture": q.Architecture, "distro": q.Distro, "name": q.Name, "search": q.Search, "format": q.Format} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for _, target := range q.Targets {
		query.Add("target", target)
	}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Versions {
		query.Set("versions", "true")
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
	fits := len(q.Targets)+len(q.Tags)+len(q.Labels)+len(q.Signed) <= maxRouteFilters && len(query.Encode()) < maxRouteQuery
	var unfit []string
	for name, values := range query {
		checked := name == "name" || name == "search" // as Query.Check has them, the route does
		if !fits || !checked && slices.ContainsFunc(values, func(value string) bool { return strings.Trim(value, routeAlphabet) != "" }) {
			unfit = append(unfit, name)
		}
	}
	if len(unfit) > 0 {
		return widened(query, unfit...), false
	}
	return query, true
}

// widened is a query without some of its parameters, for the rest to be selected here.
func widened(query url.Values, without ...string) url.Values {
	wider := url.Values{"latest": {"false"}}
	for name, values := range query {
		if !slices.Contains(without, name) && name != "latest" && name != "sort" {
			wider[name] = values
		}
	}
	if !wider.Has("phase") {
		wider.Set("phase", "all")
	}
	for _, name := range []string{"versions", "signed"} { // the first is no filter; of the second, the server says whether it can
		if query.Has(name) {
			wider[name] = query[name]
		}
	}
	return wider
}

// pages reads pages of the list route until there are limit entries; 0 is all.
func (c *Client) pages(ctx context.Context, query url.Values, asOf time.Time, limit int) (all api.List, err error) {
	all.Items = []entry.Item{}
	query.Set("limit", strconv.Itoa(min(cmp.Or(limit, maxPageLimit), maxPageLimit)))
	setAsOf(query, asOf)
	r := request{method: http.MethodGet, path: imagesPath, query: query}
	for range maxPages {
		page, err := ask[api.List](ctx, c, r)
		if err != nil {
			return api.List{}, err
		}
		all.Items, all.Total, all.Refused, all.Absent = append(all.Items, page.Items...), page.Total, page.Refused, page.Absent
		if all.Facets == nil {
			all.Facets = page.Facets
		}
		only := !query.Has("continue") && page.Continue == ""
		if only && len(page.Items) < page.Total {
			return api.List{}, c.notOurs(r, fmt.Errorf("%w: it has %d of %d entries", errNoServer, len(page.Items), page.Total))
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
	return all, nil
}

func setAsOf(query url.Values, at time.Time) {
	if !at.IsZero() {
		query.Set("as-of", at.UTC().Format(time.RFC3339Nano))
	}
}
