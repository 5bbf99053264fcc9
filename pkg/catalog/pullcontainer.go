package catalog

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/fetch"
	"github.com/oci-catalog/caib/pkg/internal/inspect"
	"github.com/oci-catalog/caib/pkg/internal/place"
	"github.com/oci-catalog/caib/pkg/registry"
)

// container is an image that is written as an image layout, a directory or a tar.
type container struct {
	repository registry.Repository
	place      string
	manifests  []inspect.Manifest
	blobs      []ocispec.Descriptor
	size       int64  // of all of it, in bytes
	tag        string // that it is called by in the layout
	path       string // "" is PullOptions.Out
	archive    bool
}

// layoutText is what makes a directory an image layout.
const layoutText = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`

// planContainer finds out what an image consists of, and where it goes.
func (p *puller) planContainer(ctx context.Context) error {
	if p.options.Artifact != "" || p.options.Partition != "" {
		return fmt.Errorf("%w: entry %q is a container and has no files of a disk image", entry.ErrInvalid, p.item.Name)
	}
	chosen, err := p.platform()
	if err != nil {
		return err
	}
	ref, err := registry.ParseReference(p.item.RegistryURL)
	if err != nil {
		return fmt.Errorf("entry %q: %w", p.item.Name, err)
	}
	c := &container{place: ref.Base(), tag: cmp.Or(ref.Tag, "latest")}
	if c.repository, err = p.open(ref); err != nil {
		return err
	}
	ref.Tag, ref.Digest = "", chosen
	if c.manifests, err = inspect.Manifests(ctx, c.repository, ref); err != nil {
		return malformedIfAltered(err)
	}
	if err := c.list(); err != nil {
		return fmt.Errorf("entry %q: %w", p.item.Name, err)
	}
	if most := cmp.Or(p.options.MaxSize, maxPulled); c.size > most {
		return fmt.Errorf("%w: entry %q has %d bytes, and %d are allowed", entry.ErrMalformed, p.item.Name, c.size, most)
	}
	p.container = c
	return p.containerTarget()
}

// platform is the digest of what is wanted of the image: all of it, or a platform.
func (p *puller) platform() (digest.Digest, error) {
	if p.options.Platform == "" {
		return p.item.Digest, nil
	}
	wanted := strings.Split(p.options.Platform, "/")
	if len(wanted) == 1 {
		wanted = []string{"", wanted[0]}
	}
	variants := p.item.PlatformVariants
	if len(variants) == 0 {
		variants = []entry.Platform{{Architecture: p.item.Architecture, OS: wanted[0], Digest: p.item.Digest}}
	}
	var found []entry.Platform
	var there []string
	for _, v := range variants {
		there = append(there, v.Name())
		if (wanted[0] == "" || v.OS == wanted[0]) && v.Architecture == entry.Architecture(wanted[1]) && (len(wanted) == 2 || v.Variant == wanted[2]) {
			found = append(found, v)
		}
	}
	switch {
	case len(wanted) > 3:
		return "", fmt.Errorf("%w: platform %q: want OS/ARCH, OS/ARCH/VARIANT or ARCH", entry.ErrInvalid, p.options.Platform)
	case len(found) == 0:
		return "", fmt.Errorf("entry %q, platform %q: %w; it has %s", p.item.Name, p.options.Platform, entry.ErrNotFound, strings.Join(there, ", "))
	case len(found) > 1:
		return "", fmt.Errorf("%w: platform %q: entry %q has several: %s", entry.ErrInvalid, p.options.Platform, p.item.Name, strings.Join(there, ", "))
	}
	return found[0].Digest, nil
}

// list finds the blobs that manifests name, each once. What is not distributed is
// not in a layout either.
func (c *container) list() error {
	seen := map[digest.Digest]bool{}
	for _, m := range c.manifests {
		c.size += m.Descriptor.Size
		var parsed ocispec.Manifest
		if err := json.Unmarshal(m.Content, &parsed); err != nil {
			return fmt.Errorf("%w: manifest %s: %v", entry.ErrMalformed, m.Descriptor.Digest, err)
		}
		blobs := parsed.Layers
		if parsed.Config.Digest != "" {
			blobs = append(blobs, parsed.Config)
		}
		for _, blob := range blobs {
			foreign := len(blob.URLs) > 0 && (strings.Contains(blob.MediaType, "nondistributable") || strings.Contains(blob.MediaType, "foreign"))
			if seen[blob.Digest] || foreign {
				continue
			}
			if err := blob.Digest.Validate(); err != nil || blob.Size < 0 || c.size+blob.Size < c.size {
				return fmt.Errorf("%w: manifest %s names a blob %q of %d bytes", entry.ErrMalformed, m.Descriptor.Digest, blob.Digest, blob.Size)
			}
			seen[blob.Digest] = true
			c.blobs = append(c.blobs, ocispec.Descriptor{MediaType: blob.MediaType, Digest: blob.Digest, Size: blob.Size})
			c.size += blob.Size
		}
	}
	return nil
}

// containerTarget says where the layout goes: the path of a tar, that of a directory
// to be, or a directory of the entry's name in one that is there.
func (p *puller) containerTarget() error {
	c := p.container
	if p.options.Out != nil {
		return nil
	}
	dest := cmp.Or(p.options.Dest, ".")
	c.path = filepath.Clean(dest)
	c.archive = strings.HasSuffix(strings.ToLower(dest), ".tar") // and no slash
	info, err := os.Stat(c.path)
	if err == nil && isDevice(info) || err != nil && belongsToDevices(c.path) {
		return fmt.Errorf("%w: %s: a container is nothing for a device", entry.ErrInvalid, c.path)
	}
	if err == nil && info.IsDir() {
		if _, err := os.Stat(filepath.Join(c.path, ocispec.ImageLayoutFile)); err != nil || !p.options.Force {
			c.path = filepath.Join(c.path, p.item.Name)
		} else if c.path, err = filepath.Abs(c.path); err != nil { // "." has no name to put others beside
			return fmt.Errorf("%w: %w", entry.ErrInvalid, err)
		}
		c.archive = false
	}
	if reason := unsafeName(p.item.Name); reason != "" {
		return fmt.Errorf("%w: entry %q is no name for a directory: %s", entry.ErrInvalid, p.item.Name, reason)
	}
	return nil
}

func (p *puller) runContainer(ctx context.Context, pulled *PulledFile) (err error) {
	c := p.container
	pulled.Bytes = c.size
	if c.path == "" {
		return c.write(p.options.Out, func(d ocispec.Descriptor, to io.Writer) error {
			return fetch.Blob(ctx, c.repository, d, to, p.fetchingBlob(pulled))
		})
	}
	var tree *place.Tree
	if c.archive {
		tree, err = place.BeginArchive(c.path, p.options.Force)
	} else {
		tree, err = place.BeginTree(c.path, ocispec.ImageLayoutFile, p.options.Force)
	}
	if err != nil {
		return err
	}
	if err = p.layout(ctx, tree, pulled); err == nil && c.archive {
		err = tree.CommitFile(func(w io.Writer) error { return c.write(w, copyFrom(tree.Dir())) })
	} else if err == nil {
		err = tree.Commit()
	}
	err = tree.Because(err)
	if tree.Leave() && err != nil {
		pulled.Part = tree.Dir()
	}
	if err == nil {
		pulled.File = c.path
	}
	return err
}

// fetchingBlob counts the bytes of a blob to those of the blobs before it.
func (p *puller) fetchingBlob(pulled *PulledFile) fetch.Options {
	if p.options.Progress == nil {
		return fetch.Options{}
	}
	before := p.pulledBefore
	return fetch.Options{Progress: func(bytes int64) {
		p.pulledBefore = before + bytes
		p.options.Progress(PullProgress{Title: p.item.Name, Bytes: p.pulledBefore, Size: p.container.size, Begun: pulled.Resumed})
	}}
}

// layout fills a directory. A blob that an earlier run left is hashed again; all else
// that is there is removed, before and after.
func (p *puller) layout(ctx context.Context, tree *place.Tree, pulled *PulledFile) error {
	c := p.container
	names := c.names()
	unfinished := slices.Clone(names)
	for _, blob := range c.blobs {
		unfinished = append(unfinished, place.Unfinished(blobName(blob.Digest))...)
	}
	if err := tree.Clear(unfinished); err != nil {
		return err
	}
	for _, blob := range c.blobs {
		path, err := tree.Path(blobName(blob.Digest))
		if err != nil {
			return err
		}
		if holds(path, blob) {
			pulled.Resumed += blob.Size
			p.pulledBefore += blob.Size
			continue
		}
		job := &pullJob{repository: c.repository, descriptor: blob, path: path}
		if err := p.blob(ctx, job, pulled); err != nil {
			return err
		}
	}
	for _, m := range c.manifests {
		if err := tree.WriteFile(blobName(m.Descriptor.Digest), m.Content); err != nil {
			return err
		}
	}
	index, err := c.index()
	if err == nil {
		err = tree.WriteFile(ocispec.ImageIndexFile, index)
	}
	if err == nil {
		err = tree.WriteFile(ocispec.ImageLayoutFile, []byte(layoutText))
	}
	if err == nil {
		err = tree.Clear(names)
	}
	return err
}

// names are those of the files that a layout consists of.
func (c *container) names() []string {
	names := []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile}
	for _, m := range c.manifests {
		names = append(names, blobName(m.Descriptor.Digest))
	}
	for _, blob := range c.blobs {
		names = append(names, blobName(blob.Digest))
	}
	return names
}

// blob fetches one blob into a layout.
func (p *puller) blob(ctx context.Context, job *pullJob, pulled *PulledFile) error {
	target, err := place.Begin(job.path, job.descriptor.Digest.String(), job.descriptor.Size, true)
	if err != nil {
		return err
	}
	counting, resumed := p.fetchingBlob(pulled).Progress, pulled.Resumed
	err = job.untilRight(ctx, target, func(options fetch.Options) error {
		options.Progress = counting
		pulled.Resumed = resumed + options.BegunSize
		return fetch.Blob(ctx, job.repository, job.descriptor, io.Discard, options)
	})
	if err == nil {
		err = target.Commit()
	}
	target.Leave(err != nil && !isWrong(err))
	return err
}

// isSized reports whether a file has a size.
func isSized(path string, size int64) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// holds reports whether a file is a blob.
func holds(path string, blob ocispec.Descriptor) bool {
	if !isSized(path, blob.Size) {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	got, err := blob.Digest.Algorithm().FromReader(file)
	return err == nil && got == blob.Digest
}

// index is the index.json of a layout of one image.
func (c *container) index() ([]byte, error) {
	root := c.manifests[0].Descriptor
	root.Annotations = map[string]string{ocispec.AnnotationRefName: c.tag}
	return json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{root},
	})
}

// write writes an image as an oci-archive: the same bytes each time.
func (c *container) write(w io.Writer, copyBlob func(ocispec.Descriptor, io.Writer) error) error {
	archive := tar.NewWriter(w)
	index, err := c.index()
	if err != nil {
		return err
	}
	add := func(name string, size int64, write func() error) {
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(fs.FileMode(0o644)), ModTime: time.Unix(0, 0)})
		}
		if err == nil {
			err = write()
		}
	}
	text := func(name string, content []byte) {
		add(name, int64(len(content)), func() error { _, err := archive.Write(content); return err })
	}
	text(ocispec.ImageLayoutFile, []byte(layoutText))
	text(ocispec.ImageIndexFile, index)
	for _, m := range c.manifests {
		text(blobName(m.Descriptor.Digest), m.Content)
	}
	for _, blob := range c.blobs {
		add(blobName(blob.Digest), blob.Size, func() error { return copyBlob(blob, archive) })
	}
	if err != nil {
		return err
	}
	return archive.Close()
}

func blobName(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// copyFrom copies blobs of a layout, and hashes them on the way: others may have
// written to them since they were fetched.
func copyFrom(dir string) func(ocispec.Descriptor, io.Writer) error {
	return func(d ocispec.Descriptor, to io.Writer) error {
		file, err := os.Open(filepath.Join(dir, filepath.FromSlash(blobName(d.Digest))))
		if err != nil {
			return err
		}
		defer file.Close()
		verifier := d.Digest.Verifier()
		if _, err = io.Copy(io.MultiWriter(to, verifier), file); err == nil && !verifier.Verified() {
			err = fmt.Errorf("%s: %w", file.Name(), fetch.ErrAltered)
		}
		return err
	}
}
