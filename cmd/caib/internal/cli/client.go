package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"

	"golang.org/x/net/http/httpproxy"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// client makes the registry client that the settings describe.
func (a *app) client() (*registry.Client, error) {
	s := &a.settings
	credentials, err := a.keychain()
	if err != nil {
		return nil, err
	}
	proxies, err := a.proxies()
	if err != nil {
		return nil, err
	}
	plain := registry.HTTPLoopback
	if set := s.origins["plain-http"].kind != "default"; set && s.plainHTTP {
		plain = registry.HTTPAlways
	} else if set {
		plain = registry.HTTPNever
	}
	client, err := registry.New(registry.Options{
		PlainHTTP: plain, InsecureTLS: s.insecure, CAFile: s.caFile, CertificateDirs: certificateDirs(a.system.Getenv),
		Credentials: credentials, UserAgent: "caib/" + version().Version, Proxy: proxies, Logger: a.logger(),
	})
	return client, s.at("ca-file", err)
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

// keychain is where logins are looked for: the file of --authfile, or docker's
// and then podman's; then the service-account token, for the hosts that the
// config file names.
func (a *app) keychain() (registry.Keychain, error) {
	s := &a.settings
	files, given := []string{s.authFile}, s.origins["authfile"].kind != "default"
	if !given {
		files = append([]string{dockerConfigPath(a.system.Getenv)}, podmanAuthFiles(a.system.Getenv, a.system.AuthFiles)...)
	}
	var found []registry.Keychain
	for _, file := range files {
		keychain, err := registry.AuthFile(file, given)
		if err != nil {
			return nil, s.at("authfile", err)
		}
		found = append(found, keychain)
	}
	return registry.Keychains(append(found, registry.ServiceAccount(s.serviceToken, s.serviceHosts...))...), nil
}

// proxyVariables are those that curl and Go programs know; each has a spelling
// in lower case too.
var proxyVariables = [][]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}, {"NO_PROXY", "no_proxy"}}

// proxySettings returns the variables that are set, and their values.
func (a *app) proxySettings() (names, values []string) {
	for _, spellings := range proxyVariables {
		for _, name := range spellings {
			if value := a.system.Getenv(name); value != "" {
				names, values = append(names, name), append(values, value)
				break
			}
		}
	}
	return names, values
}

// proxies says by way of which proxy a request goes. A proxy that is no URL is
// an entry.ErrInvalid that does not quote it: it may hold a password.
func (a *app) proxies() (func(*http.Request) (*url.URL, error), error) {
	config := httpproxy.Config{CGI: a.system.Getenv("REQUEST_METHOD") != ""}
	names, values := a.proxySettings()
	for i, name := range names {
		switch {
		case slices.Contains(proxyVariables[2], name):
			config.NoProxy = values[i]
			continue
		case slices.Contains(proxyVariables[1], name):
			config.HTTPProxy = values[i]
		default:
			config.HTTPSProxy = values[i]
		}
		if !isProxy(values[i]) {
			return nil, fmt.Errorf("%w: %s: want the URL of a proxy, such as http://proxy.example.com:3128", entry.ErrInvalid, name)
		}
	}
	choose := config.ProxyFunc()
	return func(request *http.Request) (*url.URL, error) { return choose(request.URL) }, nil
}

// isProxy tells what httpproxy understands; it ignores anything else.
func isProxy(value string) bool {
	for _, text := range []string{value, "http://" + value} {
		proxy, err := url.Parse(text)
		if err == nil && proxy.Host != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
			return true
		}
	}
	return false
}

// plainTransport carries requests to what is no registry: by way of the proxies,
// to certificates of the system's authorities and those of --ca-file.
func (a *app) plainTransport() (*http.Transport, error) {
	proxies, err := a.proxies()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = proxies
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if a.settings.caFile != "" {
		if transport.TLSClientConfig.RootCAs, err = registry.Authorities(a.settings.caFile); err != nil {
			return nil, a.settings.at("ca-file", err)
		}
	}
	return transport, nil
}

// openWith opens every catalog of the settings under a policy; nil is none.
func (a *app) openWith(policy *trust.Policy) ([]*catalog.Catalog, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	return a.openThrough(policy, nil, func(string) (*registry.Client, error) { return client, nil })
}

// openThrough is openWith by the client that is chosen for each catalog; the
// registries of what the policy verifies are added to hosts, which may be nil.
func (a *app) openThrough(policy *trust.Policy, hosts *registry.Hosts, choose func(reference string) (*registry.Client, error)) ([]*catalog.Catalog, error) {
	options := catalog.Options{
		Author: a.system.author(), Now: a.system.Now, Policy: policy, Recheck: a.system.recheck,
		Warn: func(err error) { a.warn(err.Error()) },
	}
	if hosts != nil {
		options.Vouched = hosts.Add
	}
	if dir, err := cacheDir(a.system.Getenv); err == nil {
		options.CacheDir = filepath.Join(dir, "caib")
	}
	if dir, err := stateDir(a.system.Getenv); err == nil {
		options.StateDir = filepath.Join(dir, "caib")
	}
	var opened []*catalog.Catalog
	for i, reference := range a.settings.catalogs {
		if slices.Contains(a.settings.catalogs[:i], reference) {
			continue
		}
		client, err := choose(reference)
		if err != nil {
			return nil, a.settings.at("catalog", err)
		}
		options.Registry = client
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
	policy, err := a.configuredPolicy(ctx)
	if err != nil {
		return nil, err
	}
	opened, err := a.openWith(policy)
	if err != nil {
		return nil, err
	}
	return opened[0], nil
}
