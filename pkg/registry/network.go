package registry

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// network is the transport of last resort. A host that has a directory of
// certificates is asked with those, and no other host is.
type network struct {
	base      *http.Transport
	dirs      []string
	anonymous bool // no host is shown a client certificate

	mu    sync.Mutex // held while a host's directory is read
	hosts *lru.Cache[string, *http.Transport]
}

func (n *network) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := n.transport(request.URL.Host)
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	return transport.RoundTrip(request)
}

// transport returns the transport for a host[:port]. Its directory is read
// once.
func (n *network) transport(host string) (*http.Transport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.hosts.Get(host); ok {
		return known, nil
	}
	transport := n.base
	dir, files, err := certificateDir(n.dirs, host)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		transport = n.base.Clone()
		if err := addCertificates(transport.TLSClientConfig, dir, files); err != nil {
			return nil, err
		}
		if n.anonymous {
			transport.TLSClientConfig.Certificates = nil
		}
	}
	n.hosts.Add(host, transport)
	return transport, nil
}

// newNetwork is TLS, proxies, and a bound on the time that connecting takes. How
// long an answer may take is the command's deadline's to say.
func newNetwork(options Options, known *secrets) (*network, error) {
	config, err := tlsConfig(options)
	if err != nil {
		return nil, err
	}
	base := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    options.InFlight,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		OnProxyConnectResponse: proxyAnswer,
	}
	if options.Proxy != nil {
		base.Proxy = func(request *http.Request) (*url.URL, error) {
			proxy, err := options.Proxy(request)
			if proxy != nil && proxy.User != nil {
				password, _ := proxy.User.Password()
				known.login(proxy.User.Username(), password)
			}
			return proxy, err
		}
	}
	hosts, err := lru.NewWithEvict(maxHosts, func(_ string, evicted *http.Transport) {
		if evicted != base {
			evicted.CloseIdleConnections()
		}
	})
	return &network{base: base, dirs: options.CertificateDirs, anonymous: options.anonymous, hosts: hosts}, err
}

func tlsConfig(options Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: options.InsecureTLS}
	if options.CAFile != "" {
		pool, err := authorities(options.CAFile)
		if err != nil {
			return nil, &Error{Option: "CAFile", Err: err}
		}
		config.RootCAs = pool
	}
	return config, nil
}

// NewTransport returns a transport for what is no registry, such as a key or
// index server: through the proxies of options, to servers whose certificate is
// of the system's authorities or of those of CAFile. It reads no other option,
// and no server may go without a certificate that is checked.
func NewTransport(options Options) (*http.Transport, error) {
	options.InsecureTLS = false
	if err := options.findProxies(); err != nil {
		return nil, err
	}
	config, err := tlsConfig(options)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.TLSClientConfig = options.Proxy, config
	return transport, nil
}
