package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	// lockFile is held by the process that changes the layout. The operating
	// system releases it when that process ends, however it ends.
	lockFile  = "index.json.lock"
	lockRetry = 5 * time.Millisecond

	tempPrefix = ".tmp-" // of files that are not renamed yet, or never will be
)

// change runs step while no other process changes the layout, which exists
// afterwards.
func (l *layout) change(ctx context.Context, step func() error) error {
	if err := l.vacantOrLayout(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(l.root, ocispec.ImageBlobsDir), 0o777); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(l.root, lockFile))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer lock.Close()
	marker := filepath.Join(l.root, ocispec.ImageLayoutFile)
	if _, err := os.Stat(marker); err != nil {
		text, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
		if err != nil {
			return err
		}
		if err := replace(marker, text); err != nil {
			return err
		}
	}
	return step()
}

func (l *layout) vacantOrLayout() error {
	if _, err := os.Stat(filepath.Join(l.root, ocispec.ImageIndexFile)); err == nil {
		return l.marked()
	}
	return l.vacant()
}

// write stores a blob under its digest. The caller holds the lock.
func (l *layout) write(d digest.Digest, blob []byte) error {
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
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return replace(path, blob)
}

// list adds a manifest to index.json. The caller holds the lock. A tag moves
// to the manifest; an untagged manifest is listed once.
func (l *layout) list(added ocispec.Descriptor) error {
	old, err := l.index()
	if err != nil {
		return err
	}
	tag := added.Annotations[ocispec.AnnotationRefName]
	same := func(d ocispec.Descriptor) bool {
		return d.Annotations[ocispec.AnnotationRefName] == tag && (tag != "" || d.Digest == added.Digest)
	}
	for _, d := range old.Manifests {
		if same(d) && d.Digest == added.Digest {
			return nil
		}
	}
	index := *old
	index.Manifests = slices.DeleteFunc(slices.Clone(old.Manifests), same)
	index.Manifests = append(index.Manifests, added)
	return l.replaceIndex(&index)
}

func (l *layout) replaceIndex(index *ocispec.Index) error {
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return replace(filepath.Join(l.root, ocispec.ImageIndexFile), text)
}

// replace puts content at path so that a reader, or a machine that loses
// power, sees the old file or the new one whole: write, sync, rename.
func replace(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails once it is renamed
	if _, err := file.Write(content); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	// The rename itself lasts once the directory is synced, where the system
	// can do that.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

func (l *layout) account(context.Context) (Account, error) { return Account{}, nil }

// canPush puts a file beside the others, or where the layout would be made, and
// takes it away again.
func (l *layout) canPush(context.Context) error {
	dir := l.root
	err := l.vacantOrLayout()
	for parent := filepath.Dir(dir); err == nil && parent != dir; parent = filepath.Dir(dir) {
		if _, missing := os.Stat(dir); !errors.Is(missing, fs.ErrNotExist) {
			break
		}
		dir = parent
	}
	var probe *os.File
	if err == nil {
		probe, err = os.CreateTemp(dir, tempPrefix+"*")
	}
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	return l.failed("write", err)
}
