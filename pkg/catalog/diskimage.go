package catalog

import (
	"cmp"
	"context"
	"fmt"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
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
	p.warnOfImage(disk)
	p.document.Artifacts = append(p.document.Artifacts, disk.Artifacts...)
	m := &p.image.Metadata
	m.ExportFormat = cmp.Or(m.ExportFormat, disk.Metadata.ExportFormat)
	m.Distro = cmp.Or(m.Distro, disk.Metadata.Distro)
	if len(m.Targets) == 0 {
		m.Targets = disk.Metadata.Targets
	}
	return nil
}

func (p *publication) inspectDisk(ctx context.Context) (*inspect.Image, error) {
	ref, err := imageReference(p.options.Disk)
	if err != nil {
		return nil, err
	}
	repository, err := p.catalog.opener.open(ref)
	if err != nil {
		return nil, err
	}
	disk, err := inspect.Inspect(ctx, repository, ref)
	if err == nil && len(disk.Artifacts) == 0 {
		err = fmt.Errorf("%w: %s is no disk image", entry.ErrInvalid, ref)
	}
	return disk, err
}
