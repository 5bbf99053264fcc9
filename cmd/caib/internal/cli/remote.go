package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/client"
	"github.com/oci-catalog/caib/pkg/entry"
)

// remote is an index server, read and written as if it were a catalog.
type remote struct {
	*client.Client
	host string
	warn func(text string)
	// verified takes nothing but what the server has verified (remote_trust.go).
	verified bool
	refuses  *sync.Once // said that the server's policy refuses names
}

// newRemote makes a client of the server of the settings.
func (a *app) newRemote() (*remote, error) {
	s := &a.settings
	if strings.ContainsFunc(s.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, s.at("token", fmt.Errorf("%w: a token has no spaces and no special characters", entry.ErrInvalid))
	}
	transport, err := a.plainTransport()
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig.InsecureSkipVerify = s.insecure
	c, err := client.New(s.server, client.Options{
		Token: s.token, PlainHTTP: s.plainHTTP, Transport: transport, UserAgent: "caib/" + version().Version, Logger: a.logger(),
		Warn: func(err error) { a.warn(err.Error()) },
	})
	if err != nil {
		return nil, s.at("server", err)
	}
	address, err := url.Parse(s.server)
	if err != nil {
		return nil, err // New has parsed it
	}
	return &remote{Client: c, host: address.Host, warn: a.warn, refuses: &sync.Once{}}, nil
}

// catalogs returns the catalogs that the server serves, each by itself.
func (r *remote) catalogs(ctx context.Context) ([]reader, error) {
	clients, err := r.Catalogs(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]reader, len(clients))
	for i, c := range clients {
		one := *r
		one.Client = c
		all[i] = &one
	}
	return all, nil
}

// Publish has the server publish an image.
func (r *remote) Publish(ctx context.Context, image string, options catalog.PublishOptions) (catalog.PublishResult, error) {
	result, err := r.Client.Publish(ctx, image, options)
	return result, serverPublishHint(err, options)
}

// Add has the server add an image.
func (r *remote) Add(ctx context.Context, name, image string, options catalog.PublishOptions) (catalog.PublishResult, error) {
	result, err := r.Client.Add(ctx, name, image, options)
	return result, serverPublishHint(err, options)
}

// Edit has the server edit an entry.
func (r *remote) Edit(ctx context.Context, name string, change entry.Change, options catalog.EditOptions) (catalog.PublishResult, error) {
	result, err := r.Client.Edit(ctx, name, change, options)
	return result, serverPublishHint(err, catalog.PublishOptions{Sign: options.Sign})
}

// serverPublishHint says how to do what a server does not.
func serverPublishHint(err error, options catalog.PublishOptions) error {
	switch {
	case options.Sign != nil:
		return withHint(err, noServerSigns)
	case options.Wait > 0:
		return withHint(err, "publish to the registry itself: give --catalog, and no --server")
	case options.Init:
		return withHint(err, "begin it in the registry: give --catalog, and no --server")
	}
	return err
}

// serverHint is the help for what went wrong with an index server; "" for any
// other error.
func serverHint(err error) string {
	var failed *client.Error
	var certificate *tls.CertificateVerificationError
	if !errors.As(err, &failed) {
		return ""
	}
	problem := failed.Problem
	answered := problem != nil
	switch {
	case answered && problem.Code == "no_route":
		return "give --server the address of the server alone; or it is older than this command"
	case answered && problem.Status == http.StatusUnauthorized:
		return "give a token of the server with --token or CAIB_TOKEN"
	case answered && problem.Reason == api.ReasonReadOnly:
		return "publish to the registry itself: give --catalog, and no --server"
	case answered && problem.Reason == api.ReasonNotAllowed:
		return "the server opens this registry if it is started with a pattern for it: `caib catalog serve --allow-registry HOST`"
	case answered:
		return ""
	case failed.NoServer:
		return "give the address of an index server (`caib catalog serve`) with --server, without a path of the API"
	case errors.As(err, &certificate):
		return "give the server's certificate authority with --ca-file"
	}
	return ""
}
