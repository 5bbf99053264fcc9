package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/imagebuild"
	"github.com/oci-catalog/caib/pkg/server"
)

const (
	imagesRoute = "/v1/catalog/images"
	pageLimit   = "1000"
	maxPages    = 10_000
)

func asOfQuery(at time.Time) url.Values {
	query := url.Values{}
	if !at.IsZero() {
		query.Set("as-of", at.UTC().Format(time.RFC3339Nano))
	}
	return query
}

// List reads all pages, and selects from them as from a registry's entries.
func (r *remote) List(ctx context.Context, options catalog.ListOptions) (entry.Page, error) {
	if err := options.Query.Check(); err != nil {
		return entry.Page{}, err
	}
	query := asOfQuery(options.AsOf)
	query.Set("phase", "all")
	query.Set("latest", "false")
	query.Set("limit", pageLimit)
	var items []entry.Item
	for range maxPages {
		var page server.ImageList
		if err := r.call(ctx, http.MethodGet, imagesRoute, query, nil, &page); err != nil {
			return entry.Page{}, err
		}
		items = append(items, page.Items...)
		if page.Continue == "" {
			break
		}
		query.Set("continue", page.Continue)
	}
	return options.Query.Select(items), nil
}

// Get asks for one entry.
func (r *remote) Get(ctx context.Context, name string, options catalog.GetOptions) (item entry.Item, err error) {
	if err := entry.CheckName(name); err != nil {
		return item, err
	}
	query := asOfQuery(options.AsOf)
	if options.Version != "" {
		query.Set("version", options.Version)
	}
	return item, r.call(ctx, http.MethodGet, imagesRoute+"/"+name, query, nil, &item)
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
	var all server.History
	return all.Items, r.call(ctx, http.MethodGet, path, nil, nil, &all)
}

// Heads lists what there is to verify.
func (r *remote) Heads(ctx context.Context) ([]catalog.Head, error) {
	page, err := r.List(ctx, catalog.ListOptions{Query: entry.Query{Sort: entry.SortName}})
	var heads []catalog.Head
	for _, item := range page.Items {
		heads = append(heads, catalog.Head{Name: item.Name, Revision: digest.Digest(item.Revision)})
	}
	return heads, err
}

// Verify has the server look at the entry, and waits for what it finds.
func (r *remote) Verify(ctx context.Context, name string) (catalog.Verification, error) {
	if err := entry.CheckName(name); err != nil {
		return catalog.Verification{Name: name}, err
	}
	var answer server.Verification
	err := r.call(ctx, http.MethodPost, imagesRoute+"/"+name+"/verify", url.Values{"wait": {"true"}}, nil, &answer)
	if err == nil && answer.Failure != nil {
		err = saidBy(*answer.Failure, http.StatusOK)
	}
	if answer.Verification == nil {
		answer.Verification = &catalog.Verification{Name: name}
	}
	return *answer.Verification, err
}

// Publish has the server publish an image.
func (r *remote) Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.Result, error) {
	return r.publish(ctx, "/v1/catalog/publish", image, options, server.PublishRequest{Details: server.NewDetails(options), Image: image, Name: options.Name})
}

// PublishBuild has the server publish what an ImageBuild made.
func (r *remote) PublishBuild(ctx context.Context, build imagebuild.Build, options catalog.PublishOptions) (catalog.Result, error) {
	image, options, err := catalog.FromBuild(build, options)
	if err != nil {
		return catalog.Result{}, err
	}
	result, err := r.Publish(ctx, image, options)
	if err != nil {
		err = fmt.Errorf("%s: build %q: %w", build.Position, build.Name, err)
	}
	return result, err
}

// Add has the server add an image.
func (r *remote) Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.Result, error) {
	return r.publish(ctx, imagesRoute, image, options, server.CreateRequest{Details: server.NewDetails(options), RegistryURL: image, Name: name})
}

// publish asks a route for a publication, unless it is one that no server can
// make.
func (r *remote) publish(ctx context.Context, path, image string, options catalog.PublishOptions, request any) (catalog.Result, error) {
	if options.Sign != nil {
		return catalog.Result{}, withHint(errNoSigner, "publish to the registry, or sign afterwards with `caib catalog sign NAME`")
	}
	if directory, is := strings.CutPrefix(image, "oci:"); is {
		return catalog.Result{}, fmt.Errorf("%w: the server cannot read the directory %s of this machine", entry.ErrInvalid, filepath.Clean(directory))
	}
	var made server.Publication
	err := r.call(ctx, http.MethodPost, path, nil, request, &made)
	return made.Result(), err
}

var errNoSigner = fmt.Errorf("%w: a server does not sign", entry.ErrInvalid)

// Remove has the server end an entry.
func (r *remote) Remove(ctx context.Context, name string, options catalog.RemoveOptions) (entry.Event, []string, error) {
	if options.Sign != nil {
		return entry.Event{}, nil, errNoSigner
	}
	query := url.Values{}
	if options.Reason != "" {
		query.Set("reason", options.Reason)
	}
	var answer server.Removal
	err := r.call(ctx, http.MethodDelete, imagesRoute+"/"+name, query, nil, &answer)
	return answer.Event, answer.Warnings, err
}
