package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/pkg/trust"
)

const (
	imagesRoute  = "/v1/catalog/images"
	maxPageLimit = 1000 // of the list route
	maxPages     = 10_000
	// What a query may hold for the list route to take it, with room to spare.
	maxRouteFilters = 64
	maxRouteQuery   = 3000
	routeAlphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:/=+@"
)

// List asks for what the query selects. Where only what the server verified is
// asked for, a *catalog.RefusedError says that there is more.
func (r *remote) List(ctx context.Context, options catalog.ListOptions) (entry.Page, error) {
	if r.verified {
		return r.listVerified(ctx, options)
	}
	page, refused, err := r.list(ctx, options)
	if err == nil && refused > 0 {
		r.refuses.Do(func() { r.warn((&keptBack{r.base.Host, refused}).Error()) })
	}
	return page, err
}

// listVerified lists what the server verified, and names in its error what the
// server lists without: where its policy only warns.
func (r *remote) listVerified(ctx context.Context, options catalog.ListOptions) (entry.Page, error) {
	options.Query.Signed = []string{string(trust.Verified)}
	page, refused, err := r.list(ctx, options)
	if err != nil {
		return entry.Page{}, err
	}
	options.Query.Signed = []string{string(trust.Unsigned), string(trust.Untrusted), string(trust.Invalid), string(trust.Unknown)}
	options.Query.Limit = 0
	others, _, err := r.list(ctx, options)
	if err != nil {
		return entry.Page{}, err
	}
	return page, r.refusal(refused, others.Items)
}

// list asks page by page. The server selects as entry.Query does; what its route
// does not take is selected here. refused is how many names its policy keeps back.
func (r *remote) list(ctx context.Context, options catalog.ListOptions) (page entry.Page, refused int, err error) {
	if err := options.Query.Check(); err != nil {
		return entry.Page{}, 0, err
	}
	asked, whole := routeQuery(options.Query)
	if whole {
		return r.pages(ctx, asked, options.AsOf, options.Query.Limit)
	}
	page, refused, err = r.pages(ctx, asked, options.AsOf, 0)
	if err != nil {
		return entry.Page{}, 0, err
	}
	return options.Query.Select(page.Items), refused, nil
}

// routeQuery returns the parameters of the list route for a query, without its
// limit; whole tells that they say all of it.
func routeQuery(q entry.Query) (asked url.Values, whole bool) {
	asked = url.Values{"phase": {cmp.Or(q.Phase, "all")}, "latest": {strconv.FormatBool(q.Latest)}, "sort": {cmp.Or(string(q.Sort), string(entry.SortCreated))}}
	for name, value := range map[string]string{"architecture": q.Architecture, "distro": q.Distro, "target": q.Target} {
		if value != "" {
			asked.Set(name, value)
		}
	}
	for _, tag := range q.Tags {
		asked.Add("tags", tag)
	}
	for key, value := range q.Labels {
		asked.Add("label", key+"="+value)
	}
	if len(q.Signed) > 0 {
		asked.Set("signed", strings.Join(q.Signed, ","))
	}
	whole = entry.IsPhase(asked.Get("phase")) || q.Phase == ""
	for _, values := range asked {
		for _, value := range values {
			whole = whole && strings.Trim(value, routeAlphabet) == ""
		}
	}
	if whole = whole && len(asked["tags"])+len(asked["label"]) <= maxRouteFilters && len(asked.Encode()) < maxRouteQuery; whole {
		return asked, true
	}
	some := url.Values{"phase": {"all"}, "latest": {"false"}}
	if asked.Has("signed") { // for the server to say that it knows of none
		some["signed"] = asked["signed"]
	}
	return some, false
}

// pages reads pages of the list route until there are limit entries; 0 is all.
func (r *remote) pages(ctx context.Context, asked url.Values, asOf time.Time, limit int) (all entry.Page, refused int, err error) {
	all.Items = []entry.Item{}
	asked.Set("limit", strconv.Itoa(min(cmp.Or(limit, maxPageLimit), maxPageLimit)))
	setAsOf(asked, asOf)
	for range maxPages {
		page, err := ask[server.ImageList](ctx, r, http.MethodGet, imagesRoute, asked, nil)
		if err != nil {
			return entry.Page{}, 0, err
		}
		all.Items, all.Total, refused = append(all.Items, page.Items...), page.Total, page.Refused
		only := !asked.Has("continue") && page.Continue == ""
		if only && len(page.Items) < page.Total {
			return entry.Page{}, 0, r.unanswered(ctx, http.MethodGet, imagesRoute, fmt.Errorf("%w: it has %d of %d entries", errNoServer, len(page.Items), page.Total))
		}
		if limit > 0 && len(all.Items) >= limit {
			all.Items = all.Items[:limit]
			break
		}
		if page.Continue == "" {
			break
		}
		asked.Set("continue", page.Continue)
	}
	return all, refused, nil
}

func setAsOf(query url.Values, at time.Time) {
	if !at.IsZero() {
		query.Set("as-of", at.UTC().Format(time.RFC3339Nano))
	}
}

// Get asks for one entry.
func (r *remote) Get(ctx context.Context, name string, options catalog.GetOptions) (item entry.Item, err error) {
	if err := entry.CheckName(name); err != nil {
		return item, err
	}
	query := url.Values{}
	setAsOf(query, options.AsOf)
	if options.Version != "" {
		query.Set("version", options.Version)
	}
	item, err = ask[entry.Item](ctx, r, http.MethodGet, imagesRoute+"/"+name, query, nil)
	if err == nil {
		err = r.demand(name, trust.Verdict(item.Verdict))
	}
	if err != nil {
		return entry.Item{}, err
	}
	return item, nil
}

// History asks for the revisions of one entry, or of all for "".
func (r *remote) History(ctx context.Context, name string) ([]entry.Event, error) {
	path := "/v1/catalog/history"
	if name != "" {
		if err := entry.CheckName(name); err != nil {
			return nil, err
		}
		path = imagesRoute + "/" + name + "/history"
	}
	all, err := ask[server.History](ctx, r, http.MethodGet, path, nil, nil)
	for _, event := range all.Items {
		if r.verified && event.Verdict == "" {
			return nil, r.checksNothing()
		}
	}
	return all.Items, err
}

// Heads lists what there is to verify.
func (r *remote) Heads(ctx context.Context) ([]catalog.Head, error) { return r.heads(ctx, "") }

// heads lists what there is to verify in one of several catalogs, or in the one.
func (r *remote) heads(ctx context.Context, of string) ([]catalog.Head, error) {
	page, refused, err := r.list(ctx, catalog.ListOptions{Query: entry.Query{Sort: entry.SortName}})
	if err == nil { // of several catalogs, with the first
		r.refuses.Do(func() { err = r.refusal(refused, nil) })
	}
	var heads []catalog.Head
	for _, item := range page.Items {
		if of == "" || item.Catalog == of {
			heads = append(heads, catalog.Head{Name: item.Name, Revision: digest.Digest(item.Revision)})
		}
	}
	return heads, err
}

// Verify has the server look at the entry, and waits for what it finds.
func (r *remote) Verify(ctx context.Context, name string) (catalog.Verification, error) {
	return r.verify(ctx, name, url.Values{})
}

func (r *remote) verify(ctx context.Context, name string, query url.Values) (catalog.Verification, error) {
	if err := entry.CheckName(name); err != nil {
		return catalog.Verification{Name: name}, err
	}
	query.Set("wait", "true")
	answer, err := ask[server.Verification](ctx, r, http.MethodPost, imagesRoute+"/"+name+"/verify", query, nil)
	if err == nil && answer.Failure != nil {
		err = saidBy(*answer.Failure, http.StatusOK)
	}
	if answer.Verification == nil {
		answer.Verification = &catalog.Verification{Name: name}
	}
	if err == nil {
		err = r.demand(name, answer.Verification.Verdict)
	}
	return *answer.Verification, err
}

// served is as much as is asked of /readyz.
type served struct {
	Catalogs []struct {
		Catalog string `json:"catalog"`
	} `json:"catalogs"`
}

// catalogs returns the catalogs that the server serves, each by itself.
func (r *remote) catalogs(ctx context.Context) ([]source, error) {
	answer, err := ask[served](ctx, r, http.MethodGet, "/readyz", nil, nil)
	if err != nil {
		return nil, err
	}
	if len(answer.Catalogs) < 2 {
		return []source{r}, nil // then entries do not say where they are from
	}
	var all []source
	for _, c := range answer.Catalogs {
		all = append(all, &remoteCatalog{r, c.Catalog})
	}
	return all, nil
}

// remoteCatalog is one of several catalogs of an index server, for who verifies
// them.
type remoteCatalog struct {
	*remote
	reference string
}

// Reference returns the server and the catalog.
func (r *remoteCatalog) Reference() string { return r.remote.Reference() + " " + r.reference }

// Heads lists what there is to verify.
func (r *remoteCatalog) Heads(ctx context.Context) ([]catalog.Head, error) {
	return r.heads(ctx, r.reference)
}

// Verify has the server look at the entry, and waits for what it finds.
func (r *remoteCatalog) Verify(ctx context.Context, name string) (catalog.Verification, error) {
	return r.verify(ctx, name, url.Values{"catalog": {r.reference}})
}

// Publish has the server publish an image.
func (r *remote) Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.PublishResult, error) {
	return r.publish(ctx, "/v1/catalog/publish", image, options, server.PublishRequest{Details: server.NewDetails(options), Image: image, Name: options.Name})
}

// PublishBuild has the server publish what an ImageBuild made.
func (r *remote) PublishBuild(ctx context.Context, build catalog.Build, options catalog.PublishOptions) (catalog.PublishResult, error) {
	image, options, err := catalog.FromBuild(build, options)
	if err != nil {
		return catalog.PublishResult{}, err
	}
	result, err := r.Publish(ctx, image, options)
	if err != nil {
		err = fmt.Errorf("%s: build %q: %w", build.Position, build.Name, err)
	}
	return result, err
}

// Add has the server add an image.
func (r *remote) Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.PublishResult, error) {
	return r.publish(ctx, imagesRoute, image, options, server.CreateRequest{Details: server.NewDetails(options), RegistryURL: image, Name: name})
}

// publish asks a route for a publication, unless it is one that no server can
// make.
func (r *remote) publish(ctx context.Context, path, image string, options catalog.PublishOptions, request any) (catalog.PublishResult, error) {
	if options.Sign != nil {
		return catalog.PublishResult{}, withHint(errNoSigner, "publish to the registry, or sign there afterwards: `caib catalog sign NAME --catalog REGISTRY/REPOSITORY`")
	}
	if options.Unsigned {
		return catalog.PublishResult{}, errServerPolicy
	}
	if options.Init {
		return catalog.PublishResult{}, withHint(fmt.Errorf("%w: a server does not begin catalogs", entry.ErrInvalid), "begin it in the registry: give --catalog, and no --server")
	}
	if directory, is := strings.CutPrefix(image, "oci:"); is {
		return catalog.PublishResult{}, fmt.Errorf("%w: the server cannot read the directory %s of this machine", entry.ErrInvalid, filepath.Clean(directory))
	}
	made, err := ask[server.Publication](ctx, r, http.MethodPost, path, nil, request)
	return made.Result(), err
}

var (
	errNoSigner     = fmt.Errorf("%w: a server does not sign", entry.ErrInvalid)
	errServerPolicy = fmt.Errorf("%w: --unsigned: the policy is the server's, and not set aside from here", entry.ErrInvalid)
)

// Remove has the server end an entry.
func (r *remote) Remove(ctx context.Context, name string, options catalog.RemoveOptions) (entry.Event, []string, error) {
	if options.Sign != nil {
		return entry.Event{}, nil, errNoSigner
	}
	if options.Unsigned {
		return entry.Event{}, nil, errServerPolicy
	}
	query := url.Values{}
	if options.Reason != "" {
		query.Set("reason", options.Reason)
	}
	answer, err := ask[server.Removal](ctx, r, http.MethodDelete, imagesRoute+"/"+name, query, nil)
	return answer.Event, answer.Warnings, err
}
