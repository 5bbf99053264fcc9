package catalog

import (
	"cmp"
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// addDisk adds the files of the disk image that was built together with the
// image, and what it says where the image says nothing.
func (p *publication) addDisk(ctx context.Context) error {
	if p.options.Disk == "" {
		return nil
	}
	disk, err := p.inspectDisk(ctx)
	if err != nil {
		return fmt.Errorf("disk image: %w", err)
	}
	p.disk = disk
	p.warnOfImage(disk.Image)
	p.document.Artifacts = append(p.document.Artifacts, disk.Artifacts...)
	m := &p.image.Metadata
	m.ExportFormat = cmp.Or(m.ExportFormat, disk.Metadata.ExportFormat)
	m.Distro = cmp.Or(m.Distro, disk.Metadata.Distro)
	if len(m.Targets) == 0 {
		m.Targets = disk.Metadata.Targets
	}
	return nil
}

// disk is the disk image of a publication, and where it is.
type disk struct {
	*inspect.Image
	ref        registry.Reference
	repository registry.Repository
}

func (p *publication) inspectDisk(ctx context.Context) (*disk, error) {
	ref, err := imageReference(p.options.Disk)
	if err != nil {
		return nil, err
	}
	if !p.options.DryRun && !p.options.NoKeep {
		p.catalog.opener.expectPush(ref)
	}
	repository, err := p.catalog.opener.open(ref)
	if err != nil {
		return nil, err
	}
	image, err := p.inspectBuilt(ctx, repository, ref, p.options.ImageBuild.DiskDigest, revision.OfDisk)
	if err == nil && len(image.Artifacts) == 0 {
		err = fmt.Errorf("%w: %s is no disk image", entry.ErrInvalid, ref)
	}
	return &disk{image, ref, repository}, err
}
