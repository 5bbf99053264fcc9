package imagebuild

import (
	"cmp"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/pkg/entry"
)

// object is an ImageBuild as Kubernetes stores it, as far as it matters here.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string          `yaml:"name"`
		Namespace   string          `yaml:"namespace"`
		Labels      map[string]text `yaml:"labels"`
		Annotations map[string]text `yaml:"annotations"`
	} `yaml:"metadata"`
	Spec   spec   `yaml:"spec"`
	Status status `yaml:"status"`
}

type spec struct {
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
			S3  struct {
				Bucket string `yaml:"bucket"`
			} `yaml:"s3"`
		} `yaml:"disk"`
		Format string `yaml:"format"`
	} `yaml:"export"`

	// The same, as the first versions of the operator had it.
	Distro        string `yaml:"distro"`
	Target        string `yaml:"target"`
	Mode          string `yaml:"mode"`
	ExportFormat  string `yaml:"exportFormat"`
	ContainerPush string `yaml:"containerPush"`
	ExportOCI     string `yaml:"exportOci"`
}

type status struct {
	Phase                string `yaml:"phase"`
	AIBImageUsed         string `yaml:"aibImageUsed"`
	BuilderImageUsed     string `yaml:"builderImageUsed"`
	ResolvedExportFormat string `yaml:"resolvedExportFormat"`
	StartTime            text   `yaml:"startTime"`
	CompletionTime       text   `yaml:"completionTime"`

	// No version of the operator that is known writes a digest. These are the names
	// that builds of other kinds have for it.
	Digest          text `yaml:"digest"`
	ImageDigest     text `yaml:"imageDigest"`
	ManifestDigest  text `yaml:"manifestDigest"`
	ContainerDigest text `yaml:"containerDigest"`
	DiskDigest      text `yaml:"diskDigest"`
	ArtifactDigest  text `yaml:"artifactDigest"`
}

// text is a text and the line where it is.
type text struct {
	value string
	line  int
}

// UnmarshalYAML takes a scalar.
func (t *text) UnmarshalYAML(node *yaml.Node) error {
	t.line = node.Line
	return node.Decode(&t.value)
}

// build translates the object, which is at a line of a file.
func (o *object) build(file string, line int) Build {
	at := func(line int) string { return fmt.Sprintf("%s:%d", file, line) }
	placed := func(all ...text) Text {
		for _, t := range all {
			if t.value != "" {
				return Text{t.value, at(t.line)}
			}
		}
		return Text{}
	}
	s, made := &o.Spec, &o.Status
	b := Build{
		Name: o.Metadata.Name, Phase: made.Phase, Position: at(line),
		CatalogName: placed(o.Metadata.Annotations[catalogName]),
		Container:   cmp.Or(s.Export.Container, s.ContainerPush), Disk: cmp.Or(s.Export.Disk.OCI, s.ExportOCI), S3: s.Export.Disk.S3.Bucket != "",
		Digest:     placed(made.ContainerDigest, made.ImageDigest, made.ManifestDigest, made.Digest),
		DiskDigest: placed(made.DiskDigest, made.ArtifactDigest),
		Started:    placed(made.StartTime), Completed: placed(made.CompletionTime),
		Source: entry.Source{Type: entry.SourceImageBuild, ImageBuild: o.Metadata.Name},
		Metadata: entry.Metadata{
			Architecture: s.Architecture, Distro: cmp.Or(s.AIB.Distro, s.Distro), BuildMode: buildMode(cmp.Or(s.AIB.Mode, s.Mode)),
			ExportFormat: exportFormat(cmp.Or(made.ResolvedExportFormat, s.Export.Format, s.ExportFormat)),
		},
		Labels: map[string]string{},
	}
	b.Metadata.Bootc = b.Metadata.BuildMode == "bootc"
	if target := cmp.Or(s.AIB.Target, s.Target); target != "" {
		b.Metadata.Targets = []entry.Target{{Name: target, Verified: true}}
	}
	if schedule := placed(o.Metadata.Labels[scheduled]); schedule.Value != "" {
		b.Source.Type, b.Source.Schedule, b.ScheduleAt = entry.SourceScheduled, schedule.Value, schedule.Position
	}
	for key, value := range map[string]string{
		group + "/aib-image": made.AIBImageUsed, group + "/builder-image": made.BuilderImageUsed, LabelCompleted: made.CompletionTime.value,
	} {
		if value != "" {
			b.Labels[key] = value
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
