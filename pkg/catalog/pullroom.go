package catalog

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/place"
)

// isWrong reports whether an error says that bytes are not those that they should be:
// what is stored of them is nothing to go on from.
func isWrong(err error) bool {
	return errors.Is(err, entry.ErrMalformed) && !errors.Is(err, entry.ErrNoRoom) && !isDeviceError(err)
}

// mostBytes is more than any size that is one, and so little that sums do not overflow.
const mostBytes = 1 << 53

func bounded(size int64) int64 { return min(max(size, 0), mostBytes) }

// room reports that there is less room than what is pulled needs, as far as both are
// known. Nothing is fetched before. Of a file that has a block map, which is yet to be
// read, what it holds is not counted.
func (p *puller) room() error {
	if p.container != nil {
		return p.described(p.container.room())
	}
	if p.options.CacheDir != "" && len(p.jobs) == 1 {
		path := p.cachePath(p.jobs[0])
		return p.described(place.Room(path, bounded(p.jobs[0].descriptor.Size)-place.Held(path)))
	}
	most, before := int64(0), int64(0) // needed at once, and by the files before
	for _, job := range p.jobs {
		if job.path == "" || job.device != nil {
			return nil
		}
		stored, content, held := bounded(job.descriptor.Size), int64(0), place.Held(job.path)
		if p.unpacks(job) && p.bmapOf(job) == nil {
			content = bounded(p.contentSize(job))
		}
		most = max(most, before+stored+content-held)
		if p.unpacks(job) { // what is stored goes once it is unpacked
			stored = content
		}
		before += stored - held
	}
	return p.described(place.Room(p.jobs[0].path, most))
}

// mappedRoom reports that there is less room than a file needs that has a block map.
func (p *puller) mappedRoom(job *pullJob) error {
	if job.bmap == nil || !p.unpacks(job) {
		return nil
	}
	return place.Room(job.path, bounded(job.descriptor.Size)+job.bmap.Mapped()-place.Held(job.path))
}

// described says which entry an error is of.
func (p *puller) described(err error) error {
	if err != nil {
		err = fmt.Errorf("entry %q: %w", p.item.Name, err)
	}
	return err
}

// room reports that there is less room than a layout needs, and the tar of it.
func (c *container) room() error {
	if c.path == "" {
		return nil
	}
	needed := bounded(c.size)
	if c.archive {
		needed *= 2
	}
	for _, blob := range c.blobs {
		path := filepath.Join(c.path+place.Suffix, filepath.FromSlash(blobName(blob.Digest)))
		if isSized(path, blob.Size) {
			needed -= blob.Size
		} else {
			needed -= place.Held(path)
		}
	}
	return place.Room(c.path, needed)
}
