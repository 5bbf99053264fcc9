package registry

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/internal/testwait"
)

// proxied are options to ask by way of a proxy that wants a password.
func proxied(host string, plain func(string) bool) Options {
	return Options{PlainHTTP: plain, Attempts: 2, Backoff: 1, Proxy: func(*http.Request) (*url.URL, error) {
		return &url.URL{Scheme: "http", Host: host, User: url.UserPassword("me", thePassword)}, nil
	}}
}

// A proxy gets its own login, and the registry does not get it.
func TestProxyLogin(t *testing.T) {
	var proxy, registry []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		proxy = append(proxy, r.Header.Get("Proxy-Authorization"))
		registry = append(registry, r.Header.Get("Authorization"))
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	})
	if _, err := open(t, "registry.example.com", proxied(s.host, always)).Tags(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(proxy) != 1 || proxy[0] != "Basic "+basic("me", thePassword) || registry[0] != "" {
		t.Errorf("the proxy was sent %q, the registry %q", proxy, registry)
	}
}

// A proxy that refuses is a login that is wrong, whichever way it is asked, and
// what it repeats is shown to nobody.
func TestProxiesThatRefuse(t *testing.T) {
	echo := basic("me", thePassword) + " " + thePassword
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusProxyAuthRequired, "application/json", `{"errors":[{"code":"DENIED","message":"`+echo+`"}]}`)
	})
	for name, tt := range map[string]struct {
		proxy, want string
		plain       func(string) bool
	}{
		"by CONNECT":                {connect(t, "407 "+echo), "unauthorized", never},
		"plainly":                   {plain.host, "unauthorized", always},
		"by CONNECT, for no reason": {connect(t, "502 "+echo), "unreachable", never},
		"by no proxy at all":        {connect(t, echo), "unreachable", never},
	} {
		_, err := open(t, "registry.example.com", proxied(tt.proxy, tt.plain)).Tags(t.Context())
		if kind(err) != tt.want || leaks(fmt.Sprint(err)) != "" || (tt.want == "unauthorized" && !strings.Contains(err.Error(), "proxy")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// connect is a proxy that answers every request with one status line.
func connect(t *testing.T, status string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { listener.Close(); testwait.Receive(t, "the proxy to end", ended) })
	go func() {
		defer close(ended)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
			}
			c.Close()
		}
	}()
	return listener.Addr().String()
}
