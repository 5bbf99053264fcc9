package entry

import "github.com/opencontainers/go-digest"

// ReferrerRef is a referrer of an entry's image, as the HTTP API shows it.
type ReferrerRef struct {
	Kind       string        `json:"kind,omitempty"` // a plain name; empty for a type that is not known
	Type       string        `json:"type"`
	URL        string        `json:"url"` // reference of its manifest
	Digest     digest.Digest `json:"digest"`
	SizeBytes  int64         `json:"sizeBytes,omitempty"`
	Title      string        `json:"title,omitempty"`
	FileDigest digest.Digest `json:"fileDigest,omitempty"`
	Platform   digest.Digest `json:"platform,omitempty"` // digest of the platform it belongs to
}
