package imagebuild

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	group       = "automotive.sdv.cloud.redhat.com"
	apiVersion  = group + "/v1alpha1"
	kind        = "ImageBuild"
	scheduled   = group + "/scheduledimagebuild-name"
	catalogName = group + "/catalog-image-name"
	completed   = "Completed"
)

// LabelCompleted is the label of an entry that says when its build was completed.
const LabelCompleted = group + "/completion-time"

// Build is what a catalog needs of one ImageBuild. What is Text is as somebody wrote
// it, and checked by the methods that return what it means.
type Build struct {
	Name        string
	CatalogName Text           // annotation with the name of the entry
	Phase       string         // Completed, or what it is at otherwise
	Container   string         // reference of the bootc container; "" for none
	Disk        string         // reference of the disk artifact; "" for none
	S3          bool           // a disk image was put into an S3 bucket
	Digest      Text           // of the container; of the disk artifact where there is no container
	DiskDigest  Text           // of the disk artifact
	Started     Text           // when the build began
	Completed   Text           // when the build was completed
	Metadata    entry.Metadata // what was asked for when it was built
	Labels      map[string]string
	Source      entry.Source
	Position    string // FILE:LINE of the object
	ScheduleAt  string // FILE:LINE of Source.Schedule
}

// Text is a value of a file, and where it is: FILE:LINE.
type Text struct{ Value, Position string }

// Image returns the reference of what the build made: its container, else its
// disk artifact. A build that is not completed, or exported nothing to a registry, is
// an entry.ErrInvalid.
func (b *Build) Image() (string, error) {
	switch {
	case b.Phase == "":
		return "", b.invalid("is not begun: only a completed one can be published")
	case b.Phase != completed:
		return "", b.invalid("is %s: only a completed one can be published", plain(b.Phase))
	case b.Container != "":
		return b.Container, nil
	case b.Disk != "":
		return b.Disk, nil
	case b.S3:
		return "", b.invalid("exports to S3 alone (spec.export.disk.s3): an entry needs an image in a registry")
	}
	return "", b.invalid("exports neither a container (spec.export.container) nor a disk (spec.export.disk.oci)")
}

func (b *Build) invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s: build %q %s", entry.ErrInvalid, b.Position, b.Name, fmt.Sprintf(format, args...))
}

// EntryName returns the name of the entry that the build is a version of: that of its
// annotation, else that of its schedule; "" if it has neither. One that cannot be an
// entry's name is an entry.ErrName.
func (b *Build) EntryName() (string, error) {
	name, what, at := b.CatalogName.Value, "annotation "+catalogName, b.CatalogName.Position
	if name == "" {
		name, what, at = b.Source.Schedule, "label "+scheduled, b.ScheduleAt
	}
	if name == "" {
		return "", nil
	}
	if err := entry.CheckName(name); err != nil {
		return "", fmt.Errorf("%s: build %q: %s: %w", at, b.Name, what, err)
	}
	return name, nil
}

// Digests returns the digests of what the build made, those of its image and of the
// disk artifact beside it; "" where it does not say. One that is none is an
// entry.ErrInvalid: what it pins is not published without it.
func (b *Build) Digests() (image, disk digest.Digest, err error) {
	if image, err = b.Digest.digest(); err == nil {
		disk, err = b.DiskDigest.digest()
	}
	if b.Container == "" {
		image, disk = cmp.Or(disk, image), ""
	}
	return image, disk, err
}

// Times returns when the build began and was completed, zero where it does not say. A
// completion at no time that there is, is an entry.ErrInvalid.
func (b *Build) Times() (began, completed time.Time, err error) {
	began, _ = time.Parse(time.RFC3339, b.Started.Value)
	if b.Completed.Value == "" {
		return began, completed, nil
	}
	if completed, err = time.Parse(time.RFC3339, b.Completed.Value); err != nil {
		err = fmt.Errorf("%w: %s: status.completionTime %s: want a time as 2026-03-01T11:00:00Z", entry.ErrInvalid, b.Completed.Position, plain(b.Completed.Value))
	}
	return began, completed, err
}

// digest reads a digest, also at the end of a reference.
func (t Text) digest() (digest.Digest, error) {
	if t.Value == "" {
		return "", nil
	}
	text := t.Value[strings.LastIndexByte(t.Value, '@')+1:]
	d, err := digest.Parse(text)
	if err != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
		return "", fmt.Errorf("%w: %s: the build's digest %s: want sha256: and 64 hexadecimal digits, or sha512: and 128", entry.ErrInvalid, t.Position, plain(t.Value))
	}
	return d, nil
}

// plain shows a word as it is, and anything else quoted and cut.
func plain(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%.*q…", most, text)
	}
	if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "" {
		return text
	}
	return fmt.Sprintf("%q", text)
}
