// Package normal has the one spelling of what names registries and repositories,
// in which names are compared: for logins, conflicts, policies, limits. What a
// user typed is still what is shown to the user.
package normal

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Hub is Docker Hub, as references name it.
const Hub = "docker.io"

const (
	hubAPI     = "registry-1.docker.io" // as requests name it
	hubLibrary = "library/"             // where its images without a namespace are
)

// Repository is the one spelling of a repository of a registry whose host is in
// normal form: what Docker Hub has without a namespace is in library/.
func Repository(host, repository string) string {
	if host == Hub && repository != "" && !strings.Contains(repository, "/") {
		return hubLibrary + repository
	}
	return repository
}

// Host returns the one spelling of a registry's host[:port]: lower case,
// no final dot, IP addresses in their shortest form, without the port that is
// asked anyhow (443; of loopback hosts, which are asked without TLS, 80), and
// Docker Hub under the name docker.io. Different names of one machine stay
// different: a login for one of them is not for the other. What is no
// host[:port] is its own form, and so that of no registry.
func Host(host string) string {
	name, port, _ := SplitHost(host)
	if port == strconv.Itoa(defaultPort(IsLoopback(name))) {
		port = ""
	}
	if port == "" {
		switch name {
		case "index.docker.io", hubAPI, "registry.hub.docker.com":
			return Hub
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

// RequestHost is a registry's host[:port] as requests name it. A host that has
// the default port of the other scheme keeps it.
func RequestHost(host string, plain bool) string {
	if Host(host) == Hub {
		return hubAPI
	}
	name, port, _ := SplitHost(host)
	if port == "" || port == strconv.Itoa(defaultPort(plain)) {
		return name
	}
	return name + ":" + port
}

// hostPattern is all that a registry's host may be: a name, an IPv4 address or an
// IPv6 address in brackets, and a port. Of other names, such as those in other
// letters than ASCII, resolvers make names that rules for a host would not be
// found for. No part of a name begins with a hyphen: programs would take a reference
// that does for an option.
var hostPattern = regexp.MustCompile(`^(?:([A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*)\.?|(\[[0-9A-Fa-f:.]+\]))(?::([0-9]+))?$`)

// SplitHost splits host[:port] into normal forms of both, and reports whether it
// is one; what is none is a name as it is. An IPv6 address keeps its
// brackets.
func SplitHost(host string) (name, port string, ok bool) {
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

// IsLoopback reports whether a registry's host[:port] is this machine, where
// plain HTTP is the default.
func IsLoopback(host string) bool {
	name, _, _ := SplitHost(host)
	address, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || (err == nil && address.Unmap().IsLoopback())
}
