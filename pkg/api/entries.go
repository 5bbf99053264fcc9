package api

import (
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// List is the answer of the list route.
type List struct {
	Items    []entry.Item `json:"items"`
	Total    int          `json:"total"`              // on all pages
	Refused  int          `json:"refused,omitempty"`  // names that the server's policy keeps back and the query could match
	Absent   []string     `json:"absent,omitempty"`   // references of the server's catalogs that do not exist
	Facets   entry.Facets `json:"facets,omitempty"`   // of all pages, where they are asked for
	Continue string       `json:"continue,omitempty"` // the token of the next page
}

// History is the answer of the history routes.
type History struct {
	Items []entry.Event `json:"items"` // oldest first
	Total int           `json:"total"`
}

// Changes is the answer of the changes route: what moved forward since a state, or
// all there is. Items has one event a name, the one that decides it now, in the order
// of the log.
type Changes struct {
	Items []entry.Event `json:"items"`
	State string        `json:"state"` // to ask for what moves later
}

// AddRequest asks for an image that somebody else built to be added.
type AddRequest struct {
	Details
	Name        string `json:"name"`
	RegistryURL string `json:"registryUrl"`
	// AuthSecretName is what clients of the Build API send: it means nothing.
	AuthSecretName string `json:"authSecretName,omitzero"`
}

// PublishRequest asks for a build that the catalog knows to be published again, or
// for an image: either ImageBuildName or Image is given.
type PublishRequest struct {
	Details
	ImageBuildName   string `json:"imageBuildName,omitzero"`
	CatalogImageName string `json:"catalogImageName,omitzero"` // the name of the entry, with ImageBuildName
	Image            string `json:"image,omitzero"`
	Name             string `json:"name,omitzero"` // of the entry, with Image
	// AuthSecretName is what clients of the Build API send: it means nothing.
	AuthSecretName string `json:"authSecretName,omitzero"`
}

// Details are what a request may say about an image besides: the fields of
// catalog.PublishOptions that a server takes from others.
type Details struct {
	Digest        digest.Digest     `json:"digest,omitzero"`
	Version       string            `json:"version,omitzero"`
	Description   string            `json:"description,omitzero"`
	Tags          []string          `json:"tags,omitzero"`
	Labels        map[string]string `json:"labels,omitzero"`
	Architecture  string            `json:"architecture,omitzero"`
	OS            string            `json:"os,omitzero"`
	Variant       string            `json:"variant,omitzero"`
	Distro        string            `json:"distro,omitzero"`
	DistroVersion string            `json:"distroVersion,omitzero"`
	KernelVersion string            `json:"kernelVersion,omitzero"`
	Targets       []entry.Target    `json:"targets,omitzero"`
	TargetNotes   map[string]string `json:"targetNotes,omitzero"` // by the name of a target
	Bootc         *bool             `json:"bootc,omitzero"`       // nil says nothing
	BuildMode     string            `json:"buildMode,omitzero"`
	ExportFormat  string            `json:"exportFormat,omitzero"`
	Disk          string            `json:"disk,omitzero"`
	// ImageBuild is what the build of the image says of it, with Image.
	ImageBuild catalog.ImageBuild `json:"imageBuild,omitzero"`
	Source     entry.Source       `json:"source,omitzero"`
	Build      entry.Build        `json:"build,omitzero"`
	Override   bool               `json:"override,omitzero"`
	Move       bool               `json:"move,omitzero"`
	Inherit    bool               `json:"inherit,omitzero"`
	NoAttach   bool               `json:"noAttach,omitzero"`
	NoKeep     bool               `json:"noKeep,omitzero"`
	DryRun     bool               `json:"dryRun,omitzero"`
}

// Publication is what came of a request to publish or to add.
type Publication struct {
	entry.Item
	Outcome    catalog.Outcome   `json:"outcome"`
	Tag        string            `json:"tag,omitempty"`
	Attachment catalog.Step      `json:"attachment"`
	Keep       *catalog.Step     `json:"keep,omitempty"` // only where something was not kept
	Snapshot   bool              `json:"snapshot"`
	MovedFrom  []string          `json:"movedFrom,omitempty"`
	Loses      []string          `json:"loses,omitempty"`
	Warnings   []catalog.Warning `json:"warnings,omitempty"`
}

// Removal is what came of a request to remove, for a client that asks for it by
// "Prefer: return=representation".
type Removal struct {
	entry.Event
	Warnings []catalog.Warning `json:"warnings,omitempty"`
}

// Verification is the answer to a request to verify.
type Verification struct {
	Message   string        `json:"message"`
	Triggered bool          `json:"triggered"`
	Verdict   entry.Verdict `json:"verdict,omitempty"` // on the entry's signatures; empty: they are not checked
	// What was found out, where the request waits for it.
	Verification *catalog.Verification `json:"verification,omitempty"`
	Failure      *Problem              `json:"failure,omitempty"`
	Warnings     []string              `json:"warnings,omitempty"` // what the request says and the server ignores
}
