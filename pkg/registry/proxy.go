package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/net/http/httpproxy"

	"github.com/oci-catalog/caib/pkg/entry"
)

// environmentProxies chooses proxies as curl and Go programs do, by HTTPS_PROXY,
// HTTP_PROXY and NO_PROXY, each of which has a spelling in lower case too. A
// proxy that is no URL is an entry.ErrInvalid that does not quote it: it may
// hold a password.
func environmentProxies(getenv func(string) string) (func(*http.Request) (*url.URL, error), error) {
	config := httpproxy.Config{CGI: getenv("REQUEST_METHOD") != ""}
	for _, variable := range []struct {
		names []string
		value *string
	}{
		{[]string{"HTTPS_PROXY", "https_proxy"}, &config.HTTPSProxy},
		{[]string{"HTTP_PROXY", "http_proxy"}, &config.HTTPProxy},
		{[]string{"NO_PROXY", "no_proxy"}, &config.NoProxy},
	} {
		i := slices.IndexFunc(variable.names, func(name string) bool { return getenv(name) != "" })
		if i < 0 {
			continue
		}
		*variable.value = getenv(variable.names[i])
		if variable.value != &config.NoProxy && !isProxy(*variable.value) {
			return nil, fmt.Errorf("%w: %s: want the URL of a proxy, such as http://proxy.example.com:3128", entry.ErrInvalid, variable.names[i])
		}
	}
	choose := config.ProxyFunc()
	return func(request *http.Request) (*url.URL, error) { return choose(request.URL) }, nil
}

// isProxy reports whether httpproxy understands a value; it ignores anything
// else.
func isProxy(value string) bool {
	for _, text := range []string{value, "http://" + value} {
		proxy, err := url.Parse(text)
		if err == nil && proxy.Host != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
			return true
		}
	}
	return false
}

// proxyAnswer gives a proxy that wants a login the kind of error that has.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusProxyAuthRequired {
		return &Error{Cause: CauseProxy, Host: proxy.Host, Status: http.StatusProxyAuthRequired,
			Err: fmt.Errorf("%w: the proxy %s wants another login", entry.ErrUnauthorized, proxy.Host)}
	}
	return nil
}
