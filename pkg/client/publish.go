package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/wire"
)

// Publish has the server publish an image. What no server does for others is an
// entry.ErrInvalid: options with Sign, Unsigned, Wait or Init, and images in directories.
func (c *Client) Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.PublishResult, error) {
	return c.publish(ctx, api.Root+"/publish", image, options, api.PublishRequest{Details: wire.Details(options), Image: image, Name: options.Name})
}

// Add has the server add an image under a new name, as Publish does.
func (c *Client) Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.PublishResult, error) {
	return c.publish(ctx, imagesPath, image, options, api.AddRequest{Details: wire.Details(options), RegistryURL: image, Name: name})
}

func (c *Client) publish(ctx context.Context, path, image string, options catalog.PublishOptions, body any) (catalog.PublishResult, error) {
	directory, inDirectory := strings.CutPrefix(image, "oci:")
	switch {
	case options.Sign != nil:
		return catalog.PublishResult{}, errNoSigner
	case options.Unsigned:
		return catalog.PublishResult{}, errServerPolicy
	case options.Wait > 0:
		return catalog.PublishResult{}, fmt.Errorf("%w: a server does not wait for images", entry.ErrInvalid)
	case options.Init:
		return catalog.PublishResult{}, fmt.Errorf("%w: --init: a server does not begin catalogs", entry.ErrInvalid)
	case inDirectory:
		return catalog.PublishResult{}, fmt.Errorf("%w: the server cannot read the directory %s of this machine", entry.ErrInvalid, filepath.Clean(directory))
	}
	made, err := ask[api.Publication](ctx, c, request{method: http.MethodPost, path: path, body: body})
	return wire.Result(&made), err
}

var (
	errNoSigner     = fmt.Errorf("%w: a server does not sign", entry.ErrInvalid)
	errServerPolicy = fmt.Errorf("%w: --unsigned: the policy is the server's, and not set aside from here", entry.ErrInvalid)
)

// Remove has the server end an entry. Options with Sign or Unsigned are an
// entry.ErrInvalid.
func (c *Client) Remove(ctx context.Context, name string, options catalog.RemoveOptions) (catalog.RemoveResult, error) {
	switch {
	case options.Sign != nil:
		return catalog.RemoveResult{}, errNoSigner
	case options.Unsigned:
		return catalog.RemoveResult{}, errServerPolicy
	}
	query := url.Values{}
	if options.Reason != "" {
		query.Set("reason", options.Reason)
	}
	answer, err := ask[api.Removal](ctx, c, request{method: http.MethodDelete, path: imagesPath + "/" + name, query: query})
	return catalog.RemoveResult{Event: answer.Event, Warnings: answer.Warnings}, err
}
