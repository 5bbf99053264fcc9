package registry

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Options configure a Client. The zero value is the safe one: HTTPS, checked
// against the system's authorities, anonymous, and nothing read from the
// environment. What is given comes before what Getenv leads to.
type Options struct {
	// Getenv reads the environment, as os.Getenv does: with it, logins,
	// certificates and proxies are found where docker, podman and curl find
	// theirs. nil reads none.
	Getenv func(string) string
	// PlainHTTP reports whether a registry, host[:port] in its one spelling
	// (Reference.Normal), is asked without TLS; nil is loopback hosts only.
	PlainHTTP func(host string) bool
	// InsecureTLS accepts any certificate of a registry.
	InsecureTLS bool
	// CAFile holds PEM authorities to trust besides the system's; "" is none.
	CAFile string
	// CertificateDirs hold a directory for each host[:port]: authorities as
	// *.crt, client certificates as *.cert with their *.key. The first that has
	// one for a host decides, and what is in it serves that host alone, not
	// where it redirects to. nil is those of podman and docker with Getenv
	// (certs.d below ~/.config/containers, /etc/containers and /etc/docker),
	// and none without.
	CertificateDirs []string
	// Credentials finds the account for a repository of a registry, host[:port]
	// in its one spelling (Reference.Normal): the zero Account where it has
	// none, and then the files below are asked. It is called only once a
	// registry wants a login, and again when the registry refuses the last
	// answer, so it should read what is stored now. It must be safe for
	// concurrent use. nil knows none.
	Credentials func(ctx context.Context, host, repository string) (Account, error)
	// AuthFile is a file of logins in docker's or podman's format, which must
	// exist and is asked next. "" is docker's and then podman's files with
	// Getenv (DOCKER_CONFIG, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, HOME), and none
	// without.
	AuthFile string
	// ServiceAccountHosts are logged in to with a Kubernetes service-account
	// token, where nothing else has an account, as OpenShift's internal
	// registry wants it. No other host is.
	ServiceAccountHosts []string
	// ServiceAccountToken is the token's file, read for each login since tokens
	// rotate; "" is where a pod finds it.
	ServiceAccountToken string
	// Proxy chooses the proxy of a request; nil is that of HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY with Getenv, and none without.
	Proxy func(*http.Request) (*url.URL, error)
	// Mirrors say where images can be had as well, in the order in which they are
	// asked: before those of registries.conf, which with Getenv is found where
	// podman finds it (CONTAINERS_REGISTRIES_CONF, /etc/containers and
	// ~/.config/containers). OpenMirrored and Places heed them, and nothing else.
	Mirrors   []Mirror
	UserAgent string // "" is "caib"
	// InFlight bounds the requests under way to one host; 0 is 16.
	InFlight int
	// Attempts bounds how often one request is sent; 0 is 6, 1 never repeats.
	Attempts int
	// Backoff is the first wait before a repeat, doubled each time; 0 is 200ms.
	Backoff time.Duration
	// Transport replaces the network, for tests and for counting; nil is the
	// network. TLS options, certificates and proxies do not apply to it.
	Transport http.RoundTripper
	// Logger is told of every request at debug level, and at warning level of
	// what was passed over, such as a credential helper that does not work. nil
	// is none.
	Logger *slog.Logger

	anonymous bool // shows no client certificate
}

// complete returns options with a value for each that is not given.
func (o Options) complete() (Options, error) {
	if o.InFlight <= 0 {
		o.InFlight = 16
	}
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.Backoff <= 0 {
		o.Backoff = 200 * time.Millisecond
	}
	o.UserAgent = cmp.Or(o.UserAgent, "caib")
	if o.PlainHTTP == nil {
		o.PlainHTTP = normal.IsLoopback
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CertificateDirs == nil && o.Getenv != nil {
		o.CertificateDirs = systemCertificateDirs(o.Getenv)
	}
	if err := o.findAccounts(); err != nil {
		return o, err
	}
	return o, o.findProxies()
}

// findAccounts makes Credentials ask all there is to ask.
func (o *Options) findAccounts() error {
	var all []keychain
	if o.Credentials != nil {
		all = append(all, o.Credentials)
	}
	files, required := []string{o.AuthFile}, true
	if o.AuthFile == "" {
		files, required = nil, false
		if o.Getenv != nil {
			files = append([]string{dockerFile(o.Getenv)}, podmanFiles(o.Getenv, sessionFiles(runtime.GOOS, os.Getuid(), os.Stat))...)
		}
	}
	for _, file := range files {
		keychain, err := openAuthFile(file, required)
		if err != nil {
			return &Error{Option: "AuthFile", Err: err}
		}
		all = append(all, keychain)
	}
	o.Credentials = firstOf(append(all, serviceAccount(o.ServiceAccountToken, o.ServiceAccountHosts...))...)
	return nil
}

// findProxies sets Proxy from the environment where it is not given.
func (o *Options) findProxies() error {
	if o.Proxy != nil || o.Getenv == nil {
		return nil
	}
	proxies, err := environmentProxies(o.Getenv)
	if err != nil {
		return &Error{Option: "Proxy", Err: err}
	}
	o.Proxy = proxies
	return nil
}
