package api

import (
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

// Problem is an error as the API tells it: the body of every answer with a status
// of 400 or more, and the error that a client returns. It wraps the kind of package
// entry that its code stands for, and where it says which entry is in the way a
// *catalog.ConflictError.
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

// The reasons of problems whose code is unauthorized.
const (
	ReasonReadOnly   = "read_only"            // the server takes no writes from anybody
	ReasonNotAllowed = "registry_not_allowed" // the server does not open this registry
)

// Error is the sentence.
func (p *Problem) Error() string { return p.Sentence }

// Unwrap returns the kind, and the data that there is.
func (p *Problem) Unwrap() (causes []error) {
	switch kind := entry.Kind(p.Code); {
	case kind != nil:
		causes = append(causes, kind)
	case p.Status >= 500 || p.Status == http.StatusTooManyRequests:
		causes = append(causes, entry.ErrUnreachable)
	}
	if p.Code == "conflict" && p.Name != "" {
		causes = append(causes, &catalog.ConflictError{Name: p.Name, Image: p.Image, Revision: p.Revision})
	}
	return causes
}
