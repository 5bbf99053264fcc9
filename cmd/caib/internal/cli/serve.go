package cli

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/net/netutil"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/server"
	"github.com/oci-catalog/caib/pkg/trust"
)

const serveVerb = "serve"

const (
	headerTimeout  = 10 * time.Second // to send a request's headers
	requestTimeout = time.Minute      // to send a request, and to take the answer
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10        // bytes
	drainWithin    = 6 * time.Second // to finish the requests under way when the server ends
	endWithin      = 9 * time.Second // that, and to record what was found out
)

type serveOptions struct {
	*app
	trustFlags
	listen       string
	refresh      time.Duration
	interval     time.Duration
	allowPublish bool
	tokenFile    string
	readTokens   string
	cert, key    string
	statusStore  bool
	logFormat    string
	logLevel     string
	connections  int
	listeners    int
	perAddress   int
	allow        []string
	basePath     string
}

const serveHelp = `Serve one or several catalogs over HTTP: the catalog routes of the Build API,
events, and metrics. The server keeps the catalogs in memory, follows them, and
asks every registry now and then whether the images are still there. It starts
from the cache, and serves the last good state while a registry is away. Of
several catalogs it shows none before it has read all, from the cache or their
registries. With --status-store, phases and how often entries were asked for by
name outlive it.

It is read-only unless --allow-publish is given. Then writes to the first
catalog need a bearer token of --token-file: a file of lines NAME:SHA256, where
SHA256 is that of the token (printf %s "$TOKEN" | sha256sum), which has 16
characters or more. Tokens and certificates are read again when their files
change. --timeout does not end a server.

With --read-token-file, reading needs a token, too: lines NAME SHA256 [CATALOG
[NAME-PATTERN]], where * is each catalog. What a token does not let see does not
exist for it: in lists, counts, events, history and errors. Browsers are asked
for the token, and keep it until they are closed. A token of --token-file reads
everything.

With a trust policy, or keys and identities given here, the server checks
signatures: its answers say the verdict and who signed, what the policy refuses
is in no list, and asking for it by name says why. The policy and the files that
it names are read again every 15 seconds, and more often with a shorter
--refresh; another policy decides at once. While they cannot be read, nothing is
shown: the policy that was read last may be the one that somebody just withdrew.

A server opens what entries and requests refer to: registries, and of
directories (oci:PATH) only that of the catalog they are in. --allow-registry
names the registries that it may open; without it, those of the catalogs and of
entries that the policy verifies and, where there is no policy, all. What is
outside is not published, and not probed: an entry keeps its phase, and its
image is not looked at for signatures. A pattern is HOST[:PORT], for all that
the registry has, or HOST[:PORT]/REPOSITORY, where * stands for any characters
but a slash and ** for any. The catalogs themselves are always opened, and an
allowed registry may redirect elsewhere. What a registry answered is told to the
log, and to clients with a token; to the others only which kind of failure it
was.

Whoever opens the server in a browser gets a page: what there is, with a search
and filters, each entry with how to get it, what happened, and at /docs the API.
Behind a proxy that serves it below a path, --base-path says which.

One address has at most --max-listeners-per-address of the listeners, half of
the connections, a quarter of the verifications under way, and all but one of
the turns for lists that are not prepared. Clients behind a proxy have its
address: give it as many listeners as there may be, and bound each client in the
proxy.`

func newServe(a *app) *cobra.Command {
	o := &serveOptions{app: a}
	command := &cobra.Command{
		Use:   serveVerb,
		Short: "Serve catalogs over HTTP, with a page for browsers",
		Long:  serveHelp,
		Example: `  caib catalog serve
  caib catalog serve --listen :8443 --tls-cert tls.crt --tls-key tls.key --status-store
  caib catalog serve --allow-publish --token-file tokens --log-format json
  caib catalog serve --read-token-file readers --tls-cert tls.crt --tls-key tls.key
  caib catalog serve --policy policy.yaml
  caib catalog serve --allow-registry 'registry.example.com/automotive/*' --allow-registry quay.example.com`,
		Args: arguments(),
	}
	o.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized}, o.run)
}

func (o *serveOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on")
	flags.DurationVar(&o.refresh, "refresh", 15*time.Second, "how often to look at the catalogs")
	flags.DurationVar(&o.interval, "verify-interval", time.Hour, "how often to look for each image")
	flags.BoolVar(&o.allowPublish, "allow-publish", false, "let those publish who have a token")
	flags.StringVar(&o.tokenFile, "token-file", "", "file with the hashes of the tokens")
	flags.StringVar(&o.readTokens, "read-token-file", "", "file with the hashes of the tokens that reading needs; without it everybody reads")
	flags.StringVar(&o.cert, "tls-cert", "", "file with the certificate, PEM; plain HTTP without it")
	flags.StringVar(&o.key, "tls-key", "", "file with the certificate's key, PEM")
	flags.BoolVar(&o.statusStore, "status-store", false, "record what was found out about images in the catalog's repository")
	flags.Var(&choice{&o.logFormat, []string{"text", "json"}}, "log-format", "text or json; text")
	flags.Var(&choice{&o.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "debug, info, warn or error; info. debug logs every request")
	flags.IntVar(&o.connections, "max-connections", 4096, "connections at once; more wait")
	flags.IntVar(&o.listeners, "max-listeners", 1000, "listeners to events at once; more are refused")
	flags.IntVar(&o.perAddress, "max-listeners-per-address", 0, "of them from one address; 0 is a tenth, or 8 where that is less")
	flags.StringVar(&o.basePath, "base-path", "", "path that browsers and clients know the server below, such as /catalog, behind a proxy that takes it away or not")
	flags.StringArrayVar(&o.allow, "allow-registry", nil, "pattern of registries that may be opened for entries and publications; separated by commas, or repeated; without it those of the catalogs and of verified entries, or all without a policy")
	o.trustFlags.register(flags)
}

func (o *serveOptions) run(ctx context.Context, _ []string) error {
	if err := o.check(); err != nil {
		return err
	}
	log := o.serverLog()
	o.onWarning = func(text string) { log.Warn(text) }
	handler, err := o.handler(ctx, log)
	if err != nil {
		return err
	}
	listener, err := o.listener(log)
	if err != nil {
		return err
	}
	defer listener.Close()
	return o.serve(ctx, log, listener, handler)
}

// check reports flags that do not go together.
func (o *serveOptions) check() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{entry.ErrInvalid}, args...)...)
	}
	switch {
	case o.settings.server != "":
		return withHint(invalid("%s: a server serves the catalogs of registries, not those of another server", o.settings.origins["server"].label), "give --catalog")
	case !listenable(o.listen):
		return invalid("--listen %q: want HOST:PORT, or :PORT for all addresses", o.listen)
	case o.refresh < time.Second || o.refresh > 24*time.Hour:
		return invalid("--refresh %s: want 1s to 24h", o.refresh)
	case o.interval < time.Minute:
		return invalid("--verify-interval %s: want at least 1m", o.interval)
	case (o.cert == "") != (o.key == ""):
		return invalid("--tls-cert and --tls-key go together")
	case o.allowPublish && o.tokenFile == "":
		return invalid("--allow-publish needs --token-file")
	case o.tokenFile != "" && !o.allowPublish:
		return invalid("--token-file is for --allow-publish")
	case o.connections < 1 || o.listeners < 1 || o.perAddress < 0:
		return invalid("--max-connections, --max-listeners and --max-listeners-per-address: want more than 0")
	}
	return nil
}

// listenable reports whether an address is one by its form.
func listenable(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

func (o *serveOptions) serverLog() *slog.Logger {
	var level slog.Level
	if o.logLevel != "" {
		_ = level.UnmarshalText([]byte(o.logLevel)) // one of the choices
	}
	options := &slog.HandlerOptions{Level: level}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(o.system.Err, options))
	}
	return slog.New(slog.NewTextHandler(o.system.Err, options))
}

// handler makes the server over the catalogs of the settings.
func (o *serveOptions) handler(ctx context.Context, log *slog.Logger) (*server.Server, error) {
	policy, err := o.policy(ctx, &o.trustFlags)
	if err != nil {
		return nil, err
	}
	catalogs, err := o.openWith(policy)
	if err != nil {
		return nil, err
	}
	options := server.Options{
		Catalogs: catalogs, RecordStatuses: o.statusStore, TokenFile: o.tokenFile, ReadTokenFile: o.readTokens, Interval: o.interval, Refresh: o.refresh, Allow: o.patterns(),
		Listeners: o.listeners, ListenersPerAddress: o.perAddress, Logger: log, Version: version().Version, CacheFile: o.cacheFile(),
		BasePath: o.basePath,
	}
	if policy != nil {
		options.Policy = func() (*trust.Policy, error) { return o.policy(ctx, &o.trustFlags) }
	}
	s, err := server.New(options)
	if wrong := (*registry.Error)(nil); errors.As(err, &wrong) {
		switch wrong.Option {
		case "Allow":
			return nil, fmt.Errorf("--allow-registry: %w", wrong.Err)
		case "BasePath":
			return nil, withHint(fmt.Errorf("--base-path: %w", wrong.Err), "give the path that browsers have: --base-path /catalog; without it, the server is at the root of its host")
		}
	}
	return s, err
}

// patterns takes those of --allow-registry apart. An empty one stays, and is
// malformed, too: a variable that is not set must not allow everything.
func (o *serveOptions) patterns() (all []string) {
	for _, given := range o.allow {
		all = append(all, strings.Split(given, ",")...)
	}
	return all
}

// cacheFile is where what is served is cached for the next start: one for each
// set of catalogs. There is none without a cache.
func (o *serveOptions) cacheFile() string {
	dir, err := cacheDir(o.system.Getenv)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(o.settings.catalogs, "\n")))
	return filepath.Join(dir, "caib", "served", hex.EncodeToString(sum[:8]))
}

func (o *serveOptions) listener(log *slog.Logger) (net.Listener, error) {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.listen, err)
	}
	listener = netutil.LimitListener(newFairListener(listener, o.connections/2), o.connections)
	if o.cert == "" {
		return listener, nil
	}
	keys, err := openKeyPair(o.cert, o.key, o.system.Now, log)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: keys.certificate,
	}), nil
}

// newHTTPServer bounds every phase of a connection.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve serves until ctx ends; then it finishes the requests under way, and
// records what was found out, within ten seconds.
func (o *serveOptions) serve(ctx context.Context, log *slog.Logger, listener net.Listener, handler *server.Server) error {
	httpServer := newHTTPServer(handler, log)
	httpServer.RegisterOnShutdown(handler.Drain)
	memory := tune(o.system.Getenv, handler.Entries)
	httpServer.ConnState = memory.count
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		handler.Run(running)
	}()
	go memory.settle(running, handler.CaughtUp())
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String(), "tls", o.cert != "", "catalogs", o.settings.catalogs, "publish", o.allowPublish)
	var failed error
	select {
	case <-ctx.Done():
		log.Info("shutting down")
	case failed = <-served:
	}
	end := time.After(endWithin)
	drained, cancel := context.WithTimeout(running, drainWithin)
	defer cancel()
	if err := httpServer.Shutdown(drained); err != nil {
		log.Warn("requests were cut off", "error", err.Error())
		_ = httpServer.Close()
	}
	stop()
	select {
	case <-followed:
	case <-end:
		log.Warn("the last statuses may not be recorded")
	}
	if failed != nil && !errors.Is(failed, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", failed)
	}
	return nil
}
