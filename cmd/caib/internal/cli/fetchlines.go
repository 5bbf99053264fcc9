package cli

import (
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// fetchLine is a command to paste that fetches an entry, or a part of it, by digest.
type fetchLine struct {
	Tool string `json:"tool"`
	For  string `json:"for"` // what it is fetched for, or which part
	Line string `json:"line"`
}

// shownItem is an item as get shows it: with what fetches it.
type shownItem struct {
	*entry.Item
	Location string      `json:"location,omitempty"` // where the image is asked for first, by digest; "" where it was published
	Commands []fetchLine `json:"commands,omitempty"`
}

// fetchLines are what fetches an image of a registry: the image itself where it is a
// container, each platform of it, and every artifact. They ask the registry as this
// command was told to. What is in a layout needs no fetching. There is no line for
// what is no reference: a tool may take it for an option, or for a file.
func (s *settings) fetchLines(i *entry.Item) (all []fetchLine) {
	if strings.HasPrefix(i.RegistryURL, "oci:") {
		return nil
	}
	add := func(tool, use string, words ...string) {
		reference := strings.TrimPrefix(words[len(words)-1], "oci://")
		if ref, err := registry.ParseReference(reference); err != nil || ref.Layout != "" {
			return
		}
		line := fetchLine{tool, use, commandLine(words)}
		if !slices.ContainsFunc(all, func(l fetchLine) bool { return l.Line == line.Line }) {
			all = append(all, line)
		}
	}
	pinned := entry.Pinned(i.RegistryURL, i.Digest)
	isArtifact := slices.ContainsFunc(i.ArtifactRefs, func(a entry.ArtifactRef) bool { return a.URL == pinned })
	if !isArtifact && i.Bootc {
		add("bootc", "switching a running system", "bootc", "switch", pinned) // it is told about registries by the system's files
	}
	if !isArtifact {
		add("podman", "the image", s.podmanPull(pinned)...)
	}
	if !isArtifact && len(i.PlatformVariants) > 1 {
		for _, p := range i.PlatformVariants {
			add("podman", p.Name(), s.podmanPull(entry.Pinned(i.RegistryURL, p.Digest))...)
		}
	}
	for _, a := range i.ArtifactRefs {
		add("oras", "the files", s.orasPull(a.URL)...)
	}
	for _, a := range i.ArtifactRefs {
		if a.Format != "" {
			add("j", "flashing a board", "j", "storage", "flash", "oci://"+a.URL)
		}
	}
	return all
}

// podmanPull is the command of podman; the options of skopeo are the same.
func (s *settings) podmanPull(reference string) []string {
	plain, insecure, ca, authfile := s.access(reference)
	words := []string{"podman", "pull"}
	if plain || insecure {
		words = append(words, "--tls-verify=false")
	}
	switch {
	case ca == "":
	case strings.HasSuffix(ca, ".crt"):
		words = append(words, "--cert-dir", filepath.Dir(ca)) // it reads the files *.crt there
	default:
		words = append([]string{"SSL_CERT_FILE=" + ca}, words...)
	}
	if authfile != "" {
		words = append(words, "--authfile", authfile)
	}
	return append(words, reference)
}

func (s *settings) orasPull(reference string) []string {
	plain, insecure, ca, authfile := s.access(reference)
	words := []string{"oras", "pull"}
	if plain {
		words = append(words, "--plain-http")
	}
	if insecure {
		words = append(words, "--insecure")
	}
	if ca != "" {
		words = append(words, "--ca-file", ca)
	}
	if authfile != "" {
		words = append(words, "--registry-config", authfile)
	}
	return append(words, reference)
}

// access is how this command asks the registry of a reference. Through a server, only
// the server was told about.
func (s *settings) access(reference string) (plain, insecure bool, ca, authfile string) {
	host, _, _ := strings.Cut(reference, "/")
	plain = isLoopback(host)
	if s.server == "" {
		if s.origins["plain-http"].kind != "default" {
			plain = s.plainHTTP
		}
		insecure, ca = s.insecure && !plain, s.caFile
		if plain {
			ca = ""
		}
	}
	return plain, insecure, ca, s.authFile
}

// isLoopback reports whether a host[:port] is of this machine: asked without TLS by
// default.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// commandLine is a command as a shell reads it.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for n, word := range words {
		name, value, isSetting := strings.Cut(word, "=")
		switch {
		case plainWord.MatchString(word):
			quoted[n] = word
		case isSetting && name == "SSL_CERT_FILE":
			quoted[n] = name + "=" + shellQuote(value)
		default:
			quoted[n] = shellQuote(word)
		}
	}
	return strings.Join(quoted, " ")
}

// shellQuote makes one word of a text, whatever is in it.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
