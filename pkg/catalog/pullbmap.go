package catalog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/bmap"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/internal/unpack"
)

// ErrBmap: a block map is none, or not that of its file. It is an
// entry.ErrMalformed.
var ErrBmap = bmap.ErrMalformed

const bmapSuffix = ".bmap"

// bmapTitles are what the block map of a file is called: disk.raw.gz.bmap,
// disk.raw.bmap or disk.bmap.
func bmapTitles(file *entry.ArtifactRef) []string {
	name := unpack.Title(file.Title, file.Compression)
	return []string{file.Title + bmapSuffix, name + bmapSuffix, strings.TrimSuffix(name, filepath.Ext(name)) + bmapSuffix}
}

// isBmapOf reports whether a file of an entry is the block map of another one.
func isBmapOf(file, of *entry.ArtifactRef) bool {
	return of.Title != "" && file.Compression == "" && !strings.HasSuffix(of.Title, bmapSuffix) && slices.Contains(bmapTitles(of), file.Title)
}

// withoutBmaps leaves out the block maps of the other files.
func (p *puller) withoutBmaps() (jobs []*pullJob) {
	for _, job := range p.jobs {
		if !slices.ContainsFunc(p.jobs, func(other *pullJob) bool { return isBmapOf(&job.artifact, &other.artifact) }) {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// bmapOf is the block map that the entry has of a file; nil is none that is asked for.
func (p *puller) bmapOf(job *pullJob) *entry.ArtifactRef {
	written := !p.options.KeepCompressed || job.artifact.Compression == "" && !isSparse(job) && !isTar(job)
	found := slices.IndexFunc(p.item.ArtifactRefs, func(file entry.ArtifactRef) bool { return isBmapOf(&file, &job.artifact) })
	if p.options.NoBmap || !written || found < 0 {
		return nil
	}
	return &p.item.ArtifactRefs[found]
}

// readBmap reads the block map that the entry has of a file, which is as trusted as
// the file itself: both are fetched by their digests.
func (p *puller) readBmap(ctx context.Context, job *pullJob, pulled *PulledFile) error {
	found := p.bmapOf(job)
	if found == nil {
		return nil
	}
	of := &pullJob{artifact: *found}
	if err := p.locate(ctx, of); err != nil {
		return err
	}
	if of.descriptor.Size > bmap.MaxSize {
		return fmt.Errorf("%w: %s has %d bytes, too many for a block map", ErrBmap, p.describe(&of.artifact), of.descriptor.Size)
	}
	var text bytes.Buffer
	var err error
	for again := true; again; again = of.another(ctx, err) {
		text.Reset()
		err = fetch.Blob(ctx, of.repository, of.descriptor, &text, fetch.Options{})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.describe(&of.artifact), err)
	}
	m, err := bmap.Parse(text.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", p.describe(&of.artifact), err)
	}
	if size := p.contentSize(job); size != 0 && size != m.Size() {
		return fmt.Errorf("%w: a file of %d bytes, where %s says %d", ErrBmap, size, p.describe(&of.artifact), m.Size())
	}
	job.bmap, pulled.Bmap = m, of.artifact.Title
	return nil
}

// stream fetches a file and writes what is in it, checked against its block map where
// it has one.
func (p *puller) stream(ctx context.Context, job *pullJob, options fetch.Options, to io.Writer) (int64, error) {
	if job.bmap == nil {
		return p.content(ctx, job, options, to)
	}
	checked := job.bmap.NewWriter(to)
	written, err := p.content(ctx, job, options, checked)
	if err == nil {
		err = checked.End()
	}
	return written, err
}
