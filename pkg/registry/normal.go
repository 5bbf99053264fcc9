package registry

import (
	"net/netip"
	"path/filepath"
	"regexp"
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

// NormalHost returns the one spelling of a registry's host[:port]: lower case,
// no final dot, IP addresses in their shortest form, without the port that is
// asked anyhow (443; of loopback hosts, which are asked without TLS, 80), and
// Docker Hub under the name docker.io. Different names of one machine stay
// different: a login for one of them is not for the other. What is no
// host[:port] is its own form, and so that of no registry.
func NormalHost(host string) string {
	name, port, _ := splitHost(host)
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
	name, port, _ := splitHost(host)
	if port == "" || port == strconv.Itoa(defaultPort(plain)) {
		return name
	}
	return name + ":" + port
}

// hostPattern is all that a registry's host may be: a name, an IPv4 address or an
// IPv6 address in brackets, and a port. Of other names, such as those in other
// letters than ASCII, resolvers make names that rules for a host would not be
// found for.
var hostPattern = regexp.MustCompile(`^(?:([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?|(\[[0-9A-Fa-f:.]+\]))(?::([0-9]+))?$`)

// splitHost splits host[:port] into normal forms of both, and reports whether it
// is one; what is none is a name as it stands. An IPv6 address keeps its
// brackets.
func splitHost(host string) (name, port string, ok bool) {
	parts := hostPattern.FindStringSubmatch(host)
	if parts == nil {
		return host, "", false
	}
	name, bracketed, port := strings.ToLower(parts[1]), parts[2], parts[3]
	if port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return host, "", false
		}
		port = strconv.FormatUint(number, 10)
	}
	if bracketed != "" {
		address, err := netip.ParseAddr(strings.Trim(bracketed, "[]"))
		if err != nil || !address.Is6() {
			return host, "", false
		}
		if name = address.Unmap().String(); address.Unmap().Is6() {
			name = "[" + name + "]"
		}
	}
	return name, port, true
}

// loopback reports whether a registry host is this machine, where plain HTTP
// is the default.
func loopback(host string) bool {
	name, _, _ := splitHost(host)
	address, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || (err == nil && address.Unmap().IsLoopback())
}
