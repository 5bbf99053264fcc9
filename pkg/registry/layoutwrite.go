package registry

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
)

// PushBlob implements Repository.
func (l *layout) PushBlob(ctx context.Context, descriptor ocispec.Descriptor, blob []byte) error {
	err := checkContent("blob", blob, l.bounds.blob)
	if err == nil {
		err = l.change(ctx, func(s sharing) error { return l.write(s, descriptor.Digest, blob) })
	}
	return l.failed("write "+descriptor.Digest.String(), err)
}

// PushManifest implements Repository.
func (l *layout) PushManifest(ctx context.Context, descriptor ocispec.Descriptor, manifest []byte, reference string) error {
	listed := descriptor
	listed.Annotations = nil
	if reference != descriptor.Digest.String() {
		listed.Annotations = map[string]string{ocispec.AnnotationRefName: reference}
	}
	return l.failed("write "+reference, l.pushManifest(ctx, listed, manifest))
}

// pushManifest writes a manifest and lists it: neither, if there is no room for
// it in the list.
func (l *layout) pushManifest(ctx context.Context, listed ocispec.Descriptor, manifest []byte) error {
	if err := checkContent("manifest", manifest, l.bounds.manifest); err != nil {
		return err
	}
	return l.change(ctx, func(s sharing) error {
		index, err := l.indexToChange(ctx)
		if err != nil {
			return err
		}
		edit, err := index.put(listed)
		if err != nil {
			return err
		}
		if edit != nil {
			err = l.checkEdit(index, edit)
		}
		if err == nil {
			err = l.write(s, listed.Digest, manifest)
		}
		if err != nil || edit == nil {
			return err
		}
		return l.replaceIndex(ctx, s, index, edit)
	})
}

// Delete implements Repository. The blobs stay: other manifests may name them.
func (l *layout) Delete(ctx context.Context, tag string) error {
	return l.failed("delete "+tag, l.change(ctx, func(s sharing) error {
		index, err := l.indexToChange(ctx)
		if err != nil {
			return err
		}
		edit := &indexEdit{removed: index.tags.all(tag)}
		if len(edit.removed) == 0 {
			return fmt.Errorf("tag %s: %w", tag, entry.ErrNotFound)
		}
		return l.replaceIndex(ctx, s, index, edit)
	}))
}

// change runs step while nobody else changes the layout, which exists
// afterwards. The lock file keeps other processes out; goroutines of this one
// take turns before it, as they share the cached index.
func (l *layout) change(ctx context.Context, step func(sharing) error) error {
	release, err := takeTurn(ctx, l.changing)
	if err != nil {
		return err
	}
	defer release()
	if err := l.vacantOrLayout(ctx); err != nil {
		return err
	}
	if err := l.makeRoot(); err != nil {
		return err
	}
	s, err := l.sharing()
	if err != nil {
		return err
	}
	lock, err := l.lock(ctx, s)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.makeDirectory(filepath.Join(l.root, ocispec.ImageBlobsDir)); err != nil {
		return err
	}
	if err := l.makeMarker(s); err != nil {
		return err
	}
	return step(s)
}

func (l *layout) vacantOrLayout(ctx context.Context) error {
	_, err := statRegular(filepath.Join(l.root, ocispec.ImageIndexFile))
	switch {
	case err == nil:
		return l.marked()
	case errors.Is(err, fs.ErrNotExist):
		_, err = l.vacant(ctx)
	}
	return err
}

// write stores a blob under its digest. The caller holds the lock.
func (l *layout) write(s sharing, d digest.Digest, blob []byte) error {
	path, err := l.path(d)
	if err != nil {
		return err
	}
	if got := d.Algorithm().FromBytes(blob); got != d {
		return fmt.Errorf("%w: content with digest %s pushed as %s", entry.ErrInvalid, got, d)
	}
	if _, err := l.read(d, int64(len(blob))); err == nil {
		return nil
	}
	if err := s.makeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	return s.replace(path, blob)
}

// indexToChange returns index.json as nobody else changes it: the caller holds
// the lock.
func (l *layout) indexToChange(ctx context.Context) (*layoutIndex, error) {
	release, err := l.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return l.index(ctx, true)
}

// checkEdit reports an edit that readers would refuse the result of.
func (l *layout) checkEdit(index *layoutIndex, edit *indexEdit) error {
	err := l.bounds.checkIndex(index.changed(edit))
	if err == nil && int64(len(edit.added.text)) > l.bounds.manifest {
		err = fmt.Errorf("a descriptor of %d bytes, more than the %d that readers take", len(edit.added.text), l.bounds.manifest)
	}
	if err != nil {
		return fmt.Errorf("%w: the layout is full: %s would have %v; nothing was changed: use a registry, or begin another directory", entry.ErrInvalid, ocispec.ImageIndexFile, err)
	}
	return nil
}

// replaceIndex puts the edited index in the place of index.json. The caller
// holds the lock.
func (l *layout) replaceIndex(ctx context.Context, s sharing, index *layoutIndex, edit *indexEdit) error {
	path := filepath.Join(l.root, ocispec.ImageIndexFile)
	var hash maphash.Hash
	hash.SetSeed(l.cache.seed)
	draft, err := s.draft(path, func(w io.Writer) error {
		return index.write(io.MultiWriter(w, &hash), edit)
	})
	if err != nil {
		return err
	}
	defer draft.Discard()
	release, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := draft.Rename(); err != nil {
		return err
	}
	l.wrote(path, index, edit, draft.Info, hash.Sum64())
	return nil
}

// wrote makes the index that was written the cached one, if nobody has touched
// the file since. The caller has acquired the cache.
func (l *layout) wrote(path string, index *layoutIndex, edit *indexEdit, written fs.FileInfo, sum uint64) {
	l.cache.drop()
	file, info, err := openRegular(path, 0)
	if err != nil {
		return
	}
	if !os.SameFile(info, written) || info.Size() != written.Size() || !info.ModTime().Equal(written.ModTime()) {
		file.Close()
		return
	}
	index.apply(edit)
	l.cache.set(index, file, info, sum, time.Now())
}

func (l *layout) account(context.Context) (Account, error) { return Account{}, nil }

func (l *layout) loggedIn() bool { return false }

// ExpectPush does nothing: a directory has no login.
func (l *layout) ExpectPush() {}

// CanPush puts a file beside the others, or where the layout would be made, and
// takes it away again.
func (l *layout) CanPush(ctx context.Context) error {
	dir := l.root
	err := l.vacantOrLayout(ctx)
	for parent := filepath.Dir(dir); err == nil && parent != dir; parent = filepath.Dir(dir) {
		if _, missing := os.Stat(dir); !errors.Is(missing, fs.ErrNotExist) {
			break
		}
		dir = parent
	}
	if err == nil {
		err = probe(dir)
	}
	blobs := filepath.Join(l.root, ocispec.ImageBlobsDir)
	for _, dir := range []string{blobs, filepath.Join(blobs, digest.Canonical.String())} {
		if _, missing := os.Stat(dir); err == nil && !errors.Is(missing, fs.ErrNotExist) {
			err = probe(dir)
		}
	}
	if err == nil {
		var lock *os.File
		lock, _, err = openRegular(filepath.Join(l.root, lockFile), openNoFollow)
		if err == nil {
			err = lock.Close()
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return l.failed("write", err)
}

// probe makes a file in a directory, and takes it away again.
func probe(dir string) error {
	file, err := os.CreateTemp(dir, atomicfile.Prefix+"*")
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(file.Name()))
	}
	return err
}
