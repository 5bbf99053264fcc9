package entry

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Metadata is what users filter by. It comes from the image where the image
// says it, else from the publisher.
type Metadata struct {
	Architecture  string   `json:"architecture,omitempty"` // OCI term; "" for several platforms
	OS            string   `json:"os,omitempty"`
	Variant       string   `json:"variant,omitempty"`
	Distro        string   `json:"distro,omitempty"`
	DistroVersion string   `json:"distroVersion,omitempty"`
	KernelVersion string   `json:"kernelVersion,omitempty"`
	Targets       []Target `json:"targets,omitempty"`
	Bootc         bool     `json:"bootc,omitempty"`
	BuildMode     string   `json:"buildMode,omitempty"` // bootc, image or package
	ExportFormat  string   `json:"exportFormat,omitempty"`
}

// Target is a board or machine that the image is for.
type Target struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified,omitempty"` // somebody ran the image there
	Notes    string `json:"notes,omitempty"`
}

// Platform is one manifest of a multi-platform index.
type Platform struct {
	Architecture string        `json:"architecture"`
	OS           string        `json:"os,omitempty"`
	Variant      string        `json:"variant,omitempty"`
	Digest       digest.Digest `json:"digest"`
	SizeBytes    int64         `json:"sizeBytes,omitempty"`
	LayerCount   int           `json:"layerCount,omitempty"`
}

// Name is OS/ARCH or OS/ARCH/VARIANT, without what is not known at either end.
func (p Platform) Name() string {
	return strings.Trim(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/")
}

// SourceType says where an entry came from.
type SourceType string

// The source types of SPEC section 6.
const (
	SourceImageBuild SourceType = "ImageBuild"
	SourceExternal   SourceType = "External"
	SourceManual     SourceType = "Manual"
	SourceScheduled  SourceType = "Scheduled"
)

// Source says where an entry came from.
type Source struct {
	Type       SourceType `json:"type"`
	ImageBuild string     `json:"imageBuild,omitempty"`
	Schedule   string     `json:"schedule,omitempty"`
}
