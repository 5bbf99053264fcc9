package api

import (
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/schema"
)

// Problem is an error as the API tells it: the body of every answer with a status
// of 400 or more. Package client returns it in a *client.Error.
type Problem struct {
	Sentence string `json:"error"`
	Code     string `json:"code"`             // of the kind; no_route and throttled have none
	Reason   string `json:"reason,omitempty"` // what the code does not tell apart: one of the constants below
	// The entry that is in the way of a publication: by its name, or, where Image is
	// set, under another name because it has the same image.
	Name  string `json:"name,omitempty"`
	Image string `json:"image,omitempty"`
	// The revision that is live, where an edit was made for another one.
	Revision digest.Digest    `json:"revision,omitempty"`
	Details  []schema.Problem `json:"details,omitempty"` // what is wrong with a document
	Status   int              `json:"-"`                 // of HTTP
}

// The reasons of problems: the first is of one whose code is conflict, the others of
// those with unauthorized.
const (
	ReasonDigest     = "digest_mismatch"      // the image has another digest than the request says
	ReasonReadOnly   = "read_only"            // the server takes no writes from anybody
	ReasonNotAllowed = "registry_not_allowed" // the server does not open this registry
)
