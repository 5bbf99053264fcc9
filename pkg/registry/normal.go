package registry

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	hub        = "docker.io"            // Docker Hub, as references name it
	hubAPI     = "registry-1.docker.io" // Docker Hub, as requests name it
	hubLibrary = "library/"             // where its images without a namespace are
)

// Normal returns the form in which references are compared: for logins,
// conflicts, policies, limits. The host is in the form of NormalHost; what
// stands at Docker Hub without a namespace is in library/; the path of a layout
// is cleaned. What a user typed is still what is shown to the user.
func (r Reference) Normal() Reference {
	if r.Layout != "" {
		r.Layout = filepath.Clean(r.Layout)
		return r
	}
	r.Registry = NormalHost(r.Registry)
	if r.Registry == hub && r.Repository != "" && !strings.Contains(r.Repository, "/") {
		r.Repository = hubLibrary + r.Repository
	}
	return r
}

// NormalText is the normal form of a reference in a text; a text that is none is
// its own.
func NormalText(text string) string {
	ref, err := ParseReference(text)
	if err != nil {
		return text
	}
	return ref.Normal().String()
}

// NormalPattern is the normal form of a pattern of repositories, in which * stands
// for any characters but a slash and ** for any at all, and of a repository.
func NormalPattern(pattern string) string {
	host, path, found := strings.Cut(pattern, "/")
	if !found || strings.HasPrefix(pattern, layoutScheme) {
		return pattern
	}
	if strings.Contains(host, "*") {
		host = strings.TrimSuffix(strings.ToLower(host), ":443")
	} else {
		host = NormalHost(host)
	}
	if host == hub && !strings.Contains(path, "/") && !strings.Contains(path, "**") {
		path = hubLibrary + path
	}
	return host + "/" + path
}

// NormalHost returns the one spelling of a registry's host[:port]: lower case,
// no final dot, IP addresses in their shortest form, without the port that is
// asked anyhow (443; of loopback hosts, which are asked without TLS, 80), and
// Docker Hub under the name docker.io. Different names of one machine stay
// different: a login for one of them is not for the other.
func NormalHost(host string) string {
	name, port := splitHost(host)
	if port == strconv.Itoa(defaultPort(loopback(name))) {
		port = ""
	}
	if port == "" {
		switch name {
		case "index.docker.io", hubAPI, "registry.hub.docker.com":
			return hub
		}
		return name
	}
	return name + ":" + port
}

func defaultPort(plain bool) int {
	if plain {
		return 80
	}
	return 443
}

// requestHost is a registry's host[:port] as requests name it. A host that has
// the default port of the other scheme keeps it.
func requestHost(host string, plain bool) string {
	if NormalHost(host) == hub {
		return hubAPI
	}
	name, port := splitHost(host)
	if port == "" || port == strconv.Itoa(defaultPort(plain)) {
		return name
	}
	return name + ":" + port
}

// splitHost splits host[:port] into normal forms of both. An IPv6 address
// keeps its brackets.
func splitHost(host string) (name, port string) {
	name = strings.ToLower(host)
	if n, p, err := net.SplitHostPort(name); err == nil {
		name, port = n, p
		if number, err := strconv.ParseUint(p, 10, 16); err == nil {
			port = strconv.FormatUint(number, 10)
		}
	}
	name = strings.Trim(name, "[]")
	if address, err := netip.ParseAddr(name); err == nil {
		if name = address.String(); address.Is6() {
			name = "[" + name + "]"
		}
		return name, port
	}
	return strings.TrimSuffix(name, "."), port
}

// loopback reports whether a registry host is this machine, where plain HTTP
// is the default.
func loopback(host string) bool {
	name, _ := splitHost(host)
	address, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || (err == nil && address.Unmap().IsLoopback())
}
