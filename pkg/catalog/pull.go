package catalog

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// PullOptions select what of an entry is pulled, and where to. The zero value pulls
// all files of the live entry into the current directory.
type PullOptions struct {
	Version string // as GetOptions.Version
	// Dest is a directory that exists, for files under their titles and for the files
	// of tars, the path of one file, or a block device; "" is the current directory.
	// Of a tar, a file and a device, and Out, are written the one file in it.
	Dest string
	// Out is written the content of one file, instead of Dest. It has been written
	// all of it, or a part, before an error says that it is wrong.
	Out       io.Writer
	Artifact  string // the title of the one file that is wanted; "" is any
	Partition string // its partition; "" is any
	// Platform is the platform that is wanted of the image, OS/ARCH[/VARIANT] or
	// ARCH; "" is all of them. With it, and of an entry without files of a disk
	// image, the container itself is pulled, as an image layout: into a directory
	// Dest, one of the entry's name in a directory that is there, or a tar
	// (oci-archive) where Dest ends with .tar, and into Out.
	Platform string
	// KeepCompressed leaves files as they are stored, tars too.
	KeepCompressed bool
	// MaxSize bounds a file as it is written, in bytes. 0 is what the entry says of
	// it, and 64 GiB where it says nothing.
	MaxSize int64
	Force   bool // replaces files that exist, and goes on where DeviceError.Force says so
	// Confirm is asked before a device is written to, after all that can be checked
	// before. Its error ends the pull. nil is yes if Force is set, and no else.
	Confirm func(ctx context.Context, device Device) error
	// CacheDir is a directory for what was fetched by a run that did not end, which
	// the next run goes on from, of what is written to a device or to Out; "" is that
	// they begin anew. Files have it beside them.
	CacheDir string
	// NoBmap ignores block maps (bmaptool's) that the entry has of its files. They
	// are checked against else, and a device keeps what it held where they say that
	// there is nothing, unless it makes zeros by itself.
	NoBmap bool
	// ReadBack reads what was written to a device, past the cache, and compares.
	ReadBack bool
	// Progress is told, from one goroutine, how far a file is; nil is nobody.
	Progress func(PullProgress)
}

// PullProgress is how far a file is.
type PullProgress struct {
	Title string
	Bytes int64 // of the file as it is stored, those of an earlier run too
	Size  int64
	Begun int64 // the bytes that were there when it began
}

// PullResult is what was pulled.
type PullResult struct {
	Name     string        `json:"name"`
	Version  string        `json:"version,omitempty"`
	Revision digest.Digest `json:"revision"`
	Verdict  entry.Verdict `json:"verdict,omitempty"` // empty: signatures were not checked
	Files    []PulledFile  `json:"files"`
	// ReferenceNow is what the tag names that the entry was published by, where
	// that is something else now.
	ReferenceNow digest.Digest `json:"referenceNow,omitempty"`
}

// PulledFile is a file that was pulled, or begun.
type PulledFile struct {
	File      string `json:"file,omitempty"` // its path; "" in PullOptions.Out, and where it is not whole
	Title     string `json:"title,omitempty"`
	Partition string `json:"partition,omitempty"`
	// Members are the files of a tar that was unpacked into the directory File.
	Members   []PulledMember `json:"members,omitempty"`
	Digest    digest.Digest  `json:"digest"`              // of the bytes as they are stored
	SizeBytes int64          `json:"sizeBytes"`           // of them
	Bytes     int64          `json:"bytes"`               // that were written
	Resumed   int64          `json:"resumed"`             // bytes that an earlier run had fetched
	Seconds   float64        `json:"seconds"`             // that it took
	Place     string         `json:"place"`               // the repository that it came from
	Bmap      string         `json:"bmap,omitempty"`      // the title of the block map that it was checked against
	LeftBytes int64          `json:"leftBytes,omitempty"` // of a device that hold what they held: the block map says that they hold nothing
	ReadBack  bool           `json:"readBack,omitempty"`  // the device holds what was written
	Warnings  []string       `json:"warnings,omitempty"`  // what went less than well after it was written
	// Unfinished is a device that has been written to, and has no image now: its
	// first MiB is zero, as far as the device could be written to.
	Unfinished string `json:"unfinished,omitempty"`
	Part       string `json:"part,omitempty"` // of a file that is not whole: what the next run goes on from
}

// Pull writes the files of an entry. The policy decides first: of an entry that it
// refuses nothing is fetched, and the error is that of Get. Then each file is
// fetched by its digest, of the first of its places that has it (Locations, and
// registry.Client.Places), and gets its name once all of it is there and right:
// bytes that are not, of a size or a digest that the entry does not say, are an
// entry.ErrMalformed. More than there is room for is an entry.ErrNoRoom: before
// anything is fetched, as far as it is known then. A file that exists is an entry.ErrConflict. What is wrong with
// a device is a DeviceError; its first MiB is written last, and zero until then. With
// an error, the result says which files are whole, and what the next run goes on from.
func (c *Catalog) Pull(ctx context.Context, name string, options PullOptions) (PullResult, error) {
	item, err := c.Get(ctx, name, GetOptions{Version: options.Version})
	if err != nil {
		return PullResult{}, err
	}
	return c.PullItem(ctx, &item, options)
}

// PullItem is Pull of an item that Get of this catalog returned.
func (c *Catalog) PullItem(ctx context.Context, item *entry.Item, options PullOptions) (PullResult, error) {
	return pull(ctx, c.mirroredIn(ctx), item, options)
}

// PullItem is Pull of an item that the caller got and trusts, such as one of an
// index server; options.Version does not matter.
func PullItem(ctx context.Context, client *registry.Client, item *entry.Item, options PullOptions) (PullResult, error) {
	open := func(ref registry.Reference) (registry.Repository, error) { return client.OpenMirrored(ref) }
	return pull(ctx, open, item, options)
}

// OpenArtifact returns the content of one file of an entry as Pull writes it. What
// is read is not known to be right before the end: the reader ends with io.EOF only
// if all of it was, and with the error of Pull else. Whoever reads it closes it.
func (c *Catalog) OpenArtifact(ctx context.Context, name string, options PullOptions) (io.ReadCloser, error) {
	item, err := c.Get(ctx, name, GetOptions{Version: options.Version})
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	options.Dest, options.Out = "", w
	p, err := newPuller(ctx, c.mirroredIn(ctx), &item, options)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithCancel(ctx)
	go func() {
		_, err := p.run(within)
		w.CloseWithError(err) // nil is io.EOF
	}()
	return &artifactReader{r, cancel}, nil
}

type artifactReader struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close ends the transfer.
func (r *artifactReader) Close() error {
	r.cancel()
	return r.PipeReader.Close()
}
