package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	backup "github.com/oci-catalog/caib/pkg/internal/archive"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
)

// openSources opens what a catalog may be mended from: backup files, and other catalogs.
func (c *Catalog) openSources(ctx context.Context, names []string) (sources []ocilog.Source, end func(), err error) {
	var files []*backup.Reader
	end = func() {
		for _, file := range files {
			_ = file.Close() // it was only read
		}
	}
	for _, name := range names {
		repository, file, err := c.openSource(ctx, name)
		if file != nil {
			files = append(files, file)
		}
		var view *ocilog.View
		if err == nil {
			log := ocilog.New(target{repository}, name, ocilog.Options{Signatures: true, Now: c.options.Now, Recheck: c.options.Recheck})
			view, err = log.ReadIncomplete(ctx)
		}
		if err == nil && view.Empty() {
			err = fmt.Errorf("it has no catalog: %w", entry.ErrNotFound)
		}
		if err != nil {
			end()
			return nil, nil, fmt.Errorf("from %s: %w", name, err)
		}
		sources = append(sources, ocilog.Source{Name: name, View: view, Signatures: func(ctx context.Context, d digest.Digest) (all []jsontext.Value) {
			for _, one := range signature.Find(ctx, repository, d).Signatures {
				all = append(all, compactText(one.JSON()))
			}
			return all
		}})
	}
	return sources, end, nil
}

// openSource opens a backup file, or another catalog.
func (c *Catalog) openSource(ctx context.Context, name string) (registry.Repository, *backup.Reader, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		file, err := backup.OpenFile(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		return file, file, nil
	}
	ref, err := registry.ParseReference(name)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: it is no file, and no reference of a catalog", err)
	case ref.Tag != "" || ref.Digest != "":
		return nil, nil, fmt.Errorf("%w: want a file, a repository or oci:PATH, without tag or digest", entry.ErrInvalid)
	}
	if normal, err := normalForm(ref); err == nil && normal == c.normal {
		return nil, nil, errors.Join(entry.ErrInvalid, errors.New("it is the catalog itself"))
	}
	repository, err := c.opener.open(ref)
	return repository, nil, err
}
