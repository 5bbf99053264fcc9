package entry

import "github.com/opencontainers/go-digest"

// Referrer is an artifact whose subject is the image, or a platform of it. It
// is in the image's repository (SPEC section 6).
type Referrer struct {
	Type          string        `json:"type"`                    // artifact type
	PredicateType string        `json:"predicateType,omitempty"` // of an in-toto statement
	Digest        digest.Digest `json:"digest"`                  // of its manifest
	SizeBytes     int64         `json:"sizeBytes,omitempty"`     // of its files together
	Title         string        `json:"title,omitempty"`         // file name
	FileDigest    digest.Digest `json:"fileDigest,omitempty"`    // of its file, where there is one alone
	Subject       digest.Digest `json:"subject,omitempty"`       // the platform; "" for the image itself
}

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
