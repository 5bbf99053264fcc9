package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
	"github.com/oci-catalog/caib/pkg/internal/bmap"
	"github.com/oci-catalog/caib/pkg/internal/place"
	"github.com/oci-catalog/caib/pkg/internal/unpack"
	"github.com/oci-catalog/caib/pkg/registry"
)

// maxPulled bounds a file of which the entry does not say how long it is.
const maxPulled = 64 << 30

// puller pulls one entry.
type puller struct {
	open    func(registry.Reference) (registry.Repository, error)
	item    *entry.Item
	options PullOptions
	jobs    []*pullJob
	named   map[string]bool // paths in a directory, in lower case: some file systems make no difference

	container    *container // instead of jobs
	pulledBefore int64      // bytes of the container that are there
}

// pullJob is one file to pull.
type pullJob struct {
	artifact   entry.ArtifactRef
	repository registry.Repository
	place      string
	descriptor ocispec.Descriptor
	path       string  // "" is PullOptions.Out
	dir        string  // for the files of a tar; path is where its stored bytes are
	device     *Device // where path is one
	bmap       *bmap.Map
}

// newPuller decides what is written where. Nothing is fetched yet but what says how
// long a file is, and nothing written.
func newPuller(ctx context.Context, open func(registry.Reference) (registry.Repository, error), item *entry.Item, options PullOptions) (*puller, error) {
	p := &puller{open: open, item: item, options: options}
	if err := checkDigests(item); err != nil {
		return nil, err
	}
	if len(item.ArtifactRefs) == 0 || options.Platform != "" {
		if err := p.planContainer(ctx); err != nil {
			return nil, err
		}
		return p, cmp.Or(p.checkCache(), p.room())
	}
	files, err := p.selected()
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if !unpack.Supports(file.Compression) && !options.KeepCompressed {
			return nil, fmt.Errorf("%w: %s has the compression %q, which cannot be undone here", entry.ErrMalformed, p.describe(&file), file.Compression)
		}
		job := &pullJob{artifact: file}
		if err := p.locate(ctx, job); err != nil {
			return nil, err
		}
		p.jobs = append(p.jobs, job)
	}
	if err := p.target(); err != nil {
		return nil, err
	}
	return p, cmp.Or(p.checkCache(), p.room())
}

// checkDigests reports a digest of an item that is none: nothing could be checked
// against it. Items of a server were never checked as documents are.
func checkDigests(item *entry.Item) error {
	digests := []digest.Digest{item.Digest}
	for _, file := range item.ArtifactRefs {
		digests = append(digests, file.Digest)
	}
	for _, platform := range item.PlatformVariants {
		digests = append(digests, platform.Digest)
	}
	for _, d := range digests {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("%w: the entry has the digest %q: %w", entry.ErrMalformed, d, err)
		}
	}
	return nil
}

// isLink reports whether a path is that of a symbolic link.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// selected are the files that are wanted, each once.
func (p *puller) selected() (files []entry.ArtifactRef, err error) {
	seen := map[entry.ArtifactRef]bool{}
	var there []string
	for _, file := range p.item.ArtifactRefs {
		there = append(there, p.describe(&file))
		if (p.options.Artifact == "" || file.Title == p.options.Artifact) && (p.options.Partition == "" || file.Partition == p.options.Partition) && !seen[file] {
			seen[file], files = true, append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("entry %q has no such file: %w; it has %s", p.item.Name, entry.ErrNotFound, strings.Join(there, ", "))
	}
	return files, nil
}

// describe names a file in messages.
func (p *puller) describe(file *entry.ArtifactRef) string {
	name := cmp.Or(file.Title, file.Digest.String())
	if file.Partition != "" {
		name += " (partition " + file.Partition + ")"
	}
	return fmt.Sprintf("%q", name)
}

// locate finds out where a file is.
func (p *puller) locate(ctx context.Context, job *pullJob) error {
	ref, err := registry.ParseReference(job.artifact.URL)
	if err == nil {
		job.repository, err = p.open(ref)
	}
	if err != nil {
		return fmt.Errorf("entry %q: %w", p.item.Name, err)
	}
	job.place = ref.Base()
	job.descriptor = ocispec.Descriptor{MediaType: job.artifact.Type, Digest: job.artifact.Digest, Size: job.artifact.SizeBytes}
	if job.descriptor.Size <= 0 {
		job.descriptor.Size, err = sizeOf(ctx, job.repository, ref.Digest, job.artifact.Digest)
	}
	return err
}

// sizeOf is the size of a layer as its manifest says it.
func sizeOf(ctx context.Context, repository registry.Repository, manifest, layer digest.Digest) (int64, error) {
	_, text, err := repository.Manifest(ctx, manifest.String())
	if err != nil {
		return 0, malformedIfAltered(err)
	}
	var found ocispec.Manifest
	if err := json.Unmarshal(text, &found); err != nil {
		return 0, fmt.Errorf("%w: manifest %s: %v", entry.ErrMalformed, manifest, err)
	}
	for _, l := range found.Layers {
		if l.Digest == layer && l.Size >= 0 {
			return l.Size, nil
		}
	}
	return 0, fmt.Errorf("%w: manifest %s has no layer %s", entry.ErrMalformed, manifest, layer)
}

// malformedIfAltered gives the error of a manifest that has not its digest the kind
// that it has with files: who pulls is told the same of all bytes that are wrong.
func malformedIfAltered(err error) error {
	if errors.Is(err, absence.ErrAltered) {
		return fmt.Errorf("%w: %v", entry.ErrMalformed, err)
	}
	return err
}

// target says where each file is written to, and reports what is in the way.
func (p *puller) target() error {
	if p.options.Out != nil {
		return p.single("an output")
	}
	dest := cmp.Or(p.options.Dest, ".")
	info, err := os.Stat(dest)
	switch {
	case err == nil && info.IsDir():
		return p.intoDirectory(dest)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", entry.ErrInvalid, err)
	case err != nil && os.IsPathSeparator(dest[len(dest)-1]):
		return fmt.Errorf("%w: directory %s does not exist", entry.ErrInvalid, dest)
	case err == nil && isDevice(info) && isLink(dest) && !belongsToDevices(dest):
		return fmt.Errorf("%w: %s is a link to a device: name the device itself", entry.ErrInvalid, dest)
	case err == nil && isDevice(info):
		return p.intoDevice(dest)
	case err != nil && belongsToDevices(dest):
		return fmt.Errorf("%w: there is no device %s", entry.ErrInvalid, dest)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is neither a file nor a directory", entry.ErrInvalid, dest)
	}
	if err := p.single("a file"); err != nil {
		return err
	}
	if resolved, err := filepath.EvalSymlinks(dest); err == nil {
		dest = resolved // what a link leads to is replaced, not the link
	}
	p.jobs[0].path = dest
	return place.Free(dest, p.options.Force)
}

// single reports that there are more files than have room. Block maps are read
// with the files that they are of, and need none.
func (p *puller) single(room string) error {
	if len(p.jobs) > 1 {
		p.jobs = p.withoutBmaps()
	}
	if len(p.jobs) == 1 {
		return nil
	}
	var there []string
	for _, job := range p.jobs {
		there = append(there, p.describe(&job.artifact))
	}
	return fmt.Errorf("%w: %s has room for one of %d files: %s", entry.ErrInvalid, room, len(p.jobs), strings.Join(there, ", "))
}

// intoDirectory gives each file a path in a directory.
func (p *puller) intoDirectory(dir string) error {
	p.named = map[string]bool{}
	for _, job := range p.jobs {
		name := p.fileName(&job.artifact)
		intoMembers := isTar(job) && p.unpacks(job)
		if intoMembers {
			name, job.dir = archive(name), dir
		}
		if reason := unsafeName(name); reason != "" {
			return fmt.Errorf("%w: the title %q is no name for a file: %s", entry.ErrMalformed, name, reason)
		}
		job.path = filepath.Join(dir, name)
		key := strings.ToLower(job.path)
		if p.named[key] {
			return fmt.Errorf("%w: two files have the title %q", entry.ErrMalformed, name)
		}
		p.named[key] = true
		if intoMembers {
			continue
		}
		if err := place.Free(job.path, p.options.Force); err != nil {
			return err
		}
	}
	return nil
}

// fileName is what a file is called in a directory: its title, without the suffix
// of a compression that is undone.
func (p *puller) fileName(file *entry.ArtifactRef) string {
	name := file.Title
	if name == "" {
		name = p.item.Name
		if file.Partition != "" {
			name += "." + file.Partition
		}
		name += "." + cmp.Or(file.Format, "img")
		if p.options.KeepCompressed && file.Compression != "" {
			name += "." + file.Compression
		}
	}
	if !p.options.KeepCompressed {
		name = unpack.Title(name, file.Compression)
		if file.Format == "simg" {
			name = unpack.Title(name, file.Format)
		}
	}
	return name
}
