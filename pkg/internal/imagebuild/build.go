package imagebuild

import (
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	group      = "automotive.sdv.cloud.redhat.com"
	apiVersion = group + "/v1alpha1"
	kind       = "ImageBuild"
	scheduled  = group + "/scheduledimagebuild-name"
	completed  = "Completed"
)

// Build is what a catalog needs of one ImageBuild.
type Build struct {
	Name      string
	Phase     string         // Completed, or what it is at otherwise
	Container string         // reference of the bootc container; "" for none
	Disk      string         // reference of the disk artifact; "" for none
	Metadata  entry.Metadata // what was asked for when it was built
	Labels    map[string]string
	Source    entry.Source
	Position  string // FILE:LINE of the object
}

// Image returns the reference of what the build made: its container, else its
// disk artifact. A build that is not completed, or exported nothing, is an
// entry.ErrInvalid.
func (b *Build) Image() (string, error) {
	switch {
	case b.Phase != completed:
		phase := b.Phase
		if phase == "" {
			phase = "not begun"
		}
		return "", fmt.Errorf("%w: %s: build %q is %s: only a completed one can be published", entry.ErrInvalid, b.Position, b.Name, phase)
	case b.Container != "":
		return b.Container, nil
	case b.Disk != "":
		return b.Disk, nil
	}
	return "", fmt.Errorf("%w: %s: build %q exports neither a container (spec.export.container) nor a disk (spec.export.disk.oci)", entry.ErrInvalid, b.Position, b.Name)
}

// object is an ImageBuild as Kubernetes stores it, as far as it matters here.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	Spec struct {
		Architecture string `yaml:"architecture"`
		AIB          struct {
			Distro string `yaml:"distro"`
			Target string `yaml:"target"`
			Mode   string `yaml:"mode"`
		} `yaml:"aib"`
		Export struct {
			Container string `yaml:"container"`
			Disk      struct {
				OCI string `yaml:"oci"`
			} `yaml:"disk"`
			Format string `yaml:"format"`
		} `yaml:"export"`
	} `yaml:"spec"`
	Status struct {
		Phase            string `yaml:"phase"`
		AIBImageUsed     string `yaml:"aibImageUsed"`
		BuilderImageUsed string `yaml:"builderImageUsed"`
		CompletionTime   string `yaml:"completionTime"`
	} `yaml:"status"`
}

// build translates the object.
func (o *object) build(position string) Build {
	b := Build{
		Name: o.Metadata.Name, Phase: o.Status.Phase, Position: position,
		Container: o.Spec.Export.Container, Disk: o.Spec.Export.Disk.OCI,
		Source: entry.Source{Type: entry.SourceImageBuild, ImageBuild: o.Metadata.Name},
		Metadata: entry.Metadata{
			Architecture: o.Spec.Architecture, Distro: o.Spec.AIB.Distro,
			BuildMode: buildMode(o.Spec.AIB.Mode), ExportFormat: exportFormat(o.Spec.Export.Format),
		},
		Labels: map[string]string{},
	}
	b.Metadata.Bootc = b.Metadata.BuildMode == "bootc"
	if o.Spec.AIB.Target != "" {
		b.Metadata.Targets = []entry.Target{{Name: o.Spec.AIB.Target, Verified: true}}
	}
	if schedule := o.Metadata.Labels[scheduled]; schedule != "" {
		b.Source.Type, b.Source.Schedule = entry.SourceScheduled, schedule
	}
	for key, value := range map[string]string{
		"aib-image": o.Status.AIBImageUsed, "builder-image": o.Status.BuilderImageUsed, "completion-time": o.Status.CompletionTime,
	} {
		if value != "" {
			b.Labels[group+"/"+key] = value
		}
	}
	return b
}

// buildMode is what the catalog calls the mode: a build of mode disk puts a
// bootc container onto a disk, and image is what the operator takes for none.
func buildMode(mode string) string {
	switch mode {
	case "":
		return "image"
	case "disk":
		return "bootc"
	}
	return mode
}

// exportFormat is what the catalog calls the format: the operator's "image" is
// a raw one.
func exportFormat(format string) string {
	if format == "image" {
		return "raw"
	}
	return format
}
