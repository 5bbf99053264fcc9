package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// client returns the registry client that the settings describe, one for the command.
func (a *app) client() (*registry.Client, error) {
	if a.registries != nil {
		return a.registries, nil
	}
	options, err := a.registryOptions()
	if err != nil {
		return nil, err
	}
	client, err := registry.New(options)
	if err != nil {
		return nil, a.settings.atOption(err)
	}
	a.registries = client
	return client, nil
}

// registryOptions are the settings as package registry has them.
func (a *app) registryOptions() (registry.Options, error) {
	s := &a.settings
	if s.authFile == "" && s.origins["authfile"].kind != "default" {
		return registry.Options{}, s.at("authfile", fmt.Errorf("%w: want the path of a credentials file", entry.ErrInvalid))
	}
	var plain func(string) bool // by default, loopback hosts
	if s.origins["plain-http"].kind != "default" {
		plain = func(string) bool { return s.plainHTTP }
	}
	return registry.Options{
		Getenv: a.system.Getenv, PlainHTTP: plain, InsecureTLS: s.insecure, CAFile: s.caFile, AuthFile: s.authFile, Mirrors: s.mirrors,
		ServiceAccountHosts: s.serviceHosts, ServiceAccountToken: s.serviceToken,
		UserAgent: "caib/" + version().Version, Logger: a.logger(),
	}, nil
}

// atOption names the setting that an option of package registry came from.
func (s *settings) atOption(err error) error {
	var wrong *registry.Error
	if errors.As(err, &wrong) {
		return s.at(map[string]string{"CAFile": "ca-file", "AuthFile": "authfile", "Mirrors": mirrorsKey}[wrong.Option], err)
	}
	return err
}

// logger tells of every request, where that is asked for; else of what went
// less than well.
func (a *app) logger() *slog.Logger {
	if !a.settings.verbose {
		return slog.New(warner{a})
	}
	return slog.New(slog.NewTextHandler(a.system.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// warner is a slog.Handler that says warnings as all of the command's.
type warner struct{ app *app }

func (warner) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (w warner) WithAttrs([]slog.Attr) slog.Handler             { return w }
func (w warner) WithGroup(string) slog.Handler                  { return w }

func (w warner) Handle(_ context.Context, record slog.Record) error {
	w.app.warn(record.Message)
	return nil
}

// plainTransport carries requests to what is no registry.
func (a *app) plainTransport() (*http.Transport, error) {
	transport, err := registry.NewTransport(registry.Options{Getenv: a.system.Getenv, CAFile: a.settings.caFile})
	return transport, a.settings.atOption(err)
}

// catalogOptions are the settings as package catalog has them.
func (a *app) catalogOptions(policy *trust.Policy) (catalog.Options, error) {
	client, err := a.client()
	return catalog.Options{
		Getenv: a.system.Getenv, Registry: client, Author: a.system.author(), Now: a.system.Now, Policy: policy, Recheck: a.system.recheck,
		Warn: func(w catalog.Warning) { a.warn(w.Err.Error()) },
	}, err
}

// openWith opens every catalog of the settings under a policy; nil is none.
func (a *app) openWith(policy *trust.Policy) ([]*catalog.Catalog, error) {
	options, err := a.catalogOptions(policy)
	if err != nil {
		return nil, err
	}
	var opened []*catalog.Catalog
	for i, reference := range a.settings.catalogs {
		if slices.Contains(a.settings.catalogs[:i], reference) {
			continue
		}
		c, err := catalog.Open(reference, options)
		if err != nil {
			return nil, a.settings.at("catalog", err)
		}
		opened = append(opened, c)
	}
	return opened, nil
}

// openOne opens the one catalog that a verb writes to, under the policy of the
// settings, if there is one.
func (a *app) openOne(ctx context.Context) (*catalog.Catalog, error) {
	if a.settings.server != "" {
		return nil, fmt.Errorf("%w: this needs the registry, and cannot be done through the server %s", entry.ErrInvalid, a.settings.server)
	}
	if len(a.settings.catalogs) > 1 {
		return nil, fmt.Errorf("%w: --catalog: %d catalogs given, and only one can be written to", entry.ErrInvalid, len(a.settings.catalogs))
	}
	policy, err := a.configuredPolicy(ctx, false)
	if err != nil {
		return nil, err
	}
	opened, err := a.openWith(policy)
	if err != nil {
		return nil, err
	}
	return opened[0], nil
}
