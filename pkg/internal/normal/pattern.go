package normal

import (
	"strconv"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// layout begins the names of image layout directories, before a colon.
const layout = "oci"

// Match reports whether a pattern of package entry matches a
// repository, HOST[:PORT]/REPOSITORY or oci:PATH, however both are spelled. A
// pattern whose host has a * and a port is about hosts with their ports, those
// that are asked anyhow too; without a port, its * may stand for one.
func Match(pattern, repository string) bool {
	pattern, repository = normalPattern(pattern), normalPattern(repository)
	host, _, _ := strings.Cut(pattern, "/")
	if name, port, _ := strings.Cut(host, ":"); port != "" && strings.Contains(host, "*") && name != layout {
		repository = withPort(repository)
	}
	return entry.MatchPattern(pattern, repository)
}

// normalPattern is the normal form of a pattern of repositories, and of a
// repository.
func normalPattern(pattern string) string {
	host, path, found := strings.Cut(pattern, "/")
	if !found || strings.HasPrefix(pattern, layout+":") {
		return pattern
	}
	if strings.Contains(host, "*") {
		host = strings.ToLower(host)
	} else {
		host = Host(host)
	}
	if host == Hub && !strings.Contains(path, "/") && !strings.Contains(path, "**") {
		path = hubLibrary + path
	}
	return host + "/" + path
}

// withPort gives a repository in normal form the port that is asked.
func withPort(repository string) string {
	host, path, _ := strings.Cut(repository, "/")
	name, port, ok := SplitHost(host)
	if !ok || port != "" {
		return repository
	}
	return name + ":" + strconv.Itoa(defaultPort(IsLoopback(name))) + "/" + path
}
