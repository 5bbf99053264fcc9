package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/oci-catalog/caib/pkg/entry"
	archivefile "github.com/oci-catalog/caib/pkg/internal/archive"
	"github.com/oci-catalog/caib/pkg/internal/place"
	"github.com/oci-catalog/caib/pkg/registry"
)

// BackupOptions say how a catalog is kept in a file. The zero value keeps all of it.
type BackupOptions struct {
	Force    bool      // replaces a file that is there
	Out      io.Writer // is written the archive, as a tar, in the place of a file; nil is none
	NoImages bool      // keeps the catalog alone
	ReadFrom []string  // as that of CopyOptions
	// Since is the file of an earlier backup of the catalog: what it has is left out,
	// and the file is restored onto what it was restored to. "" keeps all.
	Since    string
	Progress func(CopyProgress) // as that of CopyOptions
}

// Backup keeps the catalog in a file, a .tar or .tar.zst (SPEC section 22): history,
// signatures, and images. It is a copy, with the rules of Copy: what the policy refuses
// is kept back and named, the file is whole without it, and the error says so. The file
// has its name once it is whole; one that is there is an entry.ErrConflict.
func (c *Catalog) Backup(ctx context.Context, path string, options BackupOptions) (result CopyResult, err error) {
	if options.Out != nil {
		path = "-"
	} else if _, err := archivefile.IsCompressed(path); err != nil {
		return result, err
	} else if err := place.Free(path, options.Force); err != nil {
		return result, err
	}
	var base *archivefile.Base
	if options.Since != "" {
		if base, err = c.baseOf(ctx, options.Since, path); err != nil {
			return result, err
		}
	}
	var incomplete error // the file is whole all the same
	write := func(w *archivefile.Writer) error {
		var failed error
		to := c.archived(path, w)
		result, failed = c.copyBeyond(ctx, base, to, CopyOptions{NoImages: options.NoImages, ReadFrom: options.ReadFrom, Progress: options.Progress})
		if len(result.KeptBack)+len(result.Failed) > 0 && ctx.Err() == nil && w.CanPush(ctx) == nil {
			incomplete, failed = failed, nil
		}
		return failed
	}
	about := archivefile.Options{Catalog: c.normal, Created: c.options.Now(), Images: !options.NoImages, Base: base}
	if options.Out != nil {
		err = archivefile.Stream(ctx, options.Out, false, about, write)
	} else {
		err = archivefile.Create(ctx, path, options.Force, about, write)
	}
	result.To = path
	return result, errors.Join(incomplete, err)
}

// archived is the catalog that is in an archive, by the rules for this one. It is
// opened as if it were a directory: it holds its images itself.
func (c *Catalog) archived(path string, repository registry.Repository) *Catalog {
	opener := newOpener(c.opener.client)
	opener.only = repository
	options := c.options
	options.CacheDir, options.StateDir = "", "" // another file may have the name tomorrow
	options.Policy = c.policy()
	archive := newCatalog(registry.Reference{Layout: path}, "archive", opener, repository, options)
	archive.ruledAs = c.Reference() // what a file is called, and says of itself, is no reason to believe it
	return archive
}

// holds is the catalog that this one is, or was made of, in normal form.
func (c *Catalog) holds() string { return cmp.Or(c.archiveOf, c.normal) }

// Restore copies what a file holds that Backup made into the catalog, with the rules of
// Copy: nothing newer is lost, and nothing that was removed comes back. All of the file
// is checked before anything is written: one that was cut or altered is an
// entry.ErrMalformed. Under the policy of the catalog, by its own rules, a name whose
// head is refused is kept back whole. An increment goes onto a catalog that has all revisions of its base:
// any other one is an entry.ErrConflict.
func (c *Catalog) Restore(ctx context.Context, path string, options CopyOptions) (CopyResult, error) {
	result := CopyResult{From: path, To: c.Reference(), DryRun: options.DryRun}
	kept, err := archivefile.OpenFile(ctx, path)
	if err != nil {
		return result, err
	}
	defer kept.Close()
	tags, err := c.repository.Tags(ctx)
	if err == nil {
		err = kept.CheckOnto(tags)
	}
	if err != nil {
		return result, fmt.Errorf("restore %s: %w", path, err)
	}
	options.NoImages = options.NoImages || !kept.Contents.Images
	from := c.archived(path, kept)
	from.archiveOf = kept.Contents.Catalog
	result, err = from.Copy(ctx, c, options)
	result.From = path
	if errors.Is(err, entry.ErrNotFound) && result.Names == 0 {
		if kept.Contents.Base != nil {
			return result, nil // nothing has happened since
		}
		err = fmt.Errorf("%w: %s holds an empty catalog", entry.ErrNotFound, path)
	}
	return result, err
}
