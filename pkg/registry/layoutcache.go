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
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
)

const (
	// mtimeTick is more than the steps in which file systems count the times of
	// changes: two changes of one file within it may show the same time.
	mtimeTick = 2 * time.Second
	// mtimeRecheck is how often a reader looks again at a file that may have changed
	// without showing it.
	mtimeRecheck = 100 * time.Millisecond
)

// indexCache is index.json as it was last read or written, with what tells
// whether it is still the same. Writers of this kind rename a new file into its
// place, which has another inode number for as long as the old one is open.
// Other programs rewrite it in place: that shows in its size or time, or, if it
// happened within a tick, only in its content.
type indexCache struct {
	index   *layoutIndex // nil for none
	file    *os.File     // open where holdIndex says so
	info    fs.FileInfo
	seed    maphash.Seed
	sum     uint64 // of the content
	read    time.Time
	checked time.Time
	settled bool // any later change shows in size or time
}

// matches reports whether info is that of the cached file.
func (c *indexCache) matches(info fs.FileInfo) bool {
	return c.index != nil && os.SameFile(info, c.info) && info.ModTime().Equal(c.info.ModTime()) && info.Size() == c.info.Size()
}

func (c *indexCache) drop() {
	if c.file != nil {
		c.file.Close() // it was only read
	}
	*c = indexCache{seed: c.seed}
}

// set makes index the cached one. It takes over the file.
func (c *indexCache) set(index *layoutIndex, file *os.File, info fs.FileInfo, sum uint64, now time.Time) {
	c.drop()
	c.index, c.info, c.sum, c.read, c.checked = index, info, sum, now, now
	c.settled = now.Sub(info.ModTime()) > 5*mtimeTick // and clocks differ
	if holdIndex {
		c.file = file
	} else {
		file.Close() // it was only read
	}
}

// acquire waits for the layout's cache, which the caller then has for itself
// until it calls release.
func (l *layout) acquire(ctx context.Context) (release func(), err error) {
	return takeTurn(ctx, l.cached)
}

// takeTurn fills a channel of one as soon as it is empty; release empties it.
func takeTurn(ctx context.Context, turn chan struct{}) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// index returns index.json, parsed anew only if it changed. A missing layout is
// an empty one. The caller has acquired the cache, and holds the layout's lock
// if it is a writer.
func (l *layout) index(ctx context.Context, writer bool) (*layoutIndex, error) {
	path := filepath.Join(l.root, ocispec.ImageIndexFile)
	c := &l.cache
	if info, err := os.Stat(path); err == nil && c.matches(info) &&
		(c.settled || !writer && time.Since(c.checked) < mtimeRecheck) {
		return c.index, nil
	}
	now := time.Now()
	file, info, err := openRegular(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		c.drop()
		appeared, err := l.vacant(ctx)
		if err != nil {
			return nil, err
		}
		if appeared {
			return l.index(ctx, writer)
		}
		return emptyIndex(ctx)
	}
	if err != nil {
		return nil, err
	}
	index, sum, err := l.readIndex(ctx, file, info)
	if err != nil {
		file.Close()
		return nil, err
	}
	if index == c.index { // the content did not change
		file.Close()
		c.settled = now.Sub(c.read) > mtimeTick
		c.checked = now
		return index, nil
	}
	c.set(index, file, info, sum, now)
	return index, nil
}

// readIndex reads an index.json and parses it, unless it is the cached one.
func (l *layout) readIndex(ctx context.Context, file *os.File, info fs.FileInfo) (*layoutIndex, uint64, error) {
	if err := l.bounds.checkIndex(info.Size(), 0); err != nil {
		return nil, 0, unreadableIndex(err)
	}
	most := io.LimitReader(file, l.bounds.index+1)
	if l.cache.matches(info) { // and may have changed without showing it
		var hash maphash.Hash
		hash.SetSeed(l.cache.seed)
		if _, err := io.Copy(&hash, most); err != nil {
			return nil, 0, err
		}
		if hash.Sum64() == l.cache.sum {
			return l.cache.index, l.cache.sum, nil
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, 0, err
		}
		most = io.LimitReader(file, l.bounds.index+1)
	} else if err := l.marked(); err != nil {
		return nil, 0, err
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, most); err != nil {
		return nil, 0, err
	}
	l.parsed += int64(text.Len())
	err := l.bounds.checkIndex(int64(text.Len()), 0) // it may have grown meanwhile
	var index *layoutIndex
	if err == nil {
		index, err = parseIndex(ctx, text.String(), l.bounds)
	}
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	return index, maphash.String(l.cache.seed, text.String()), unreadableIndex(err)
}

func unreadableIndex(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %v", entry.ErrUnreachable, ocispec.ImageIndexFile, err)
}

// marked reports an index.json that is not a layout's: other programs have
// files of that name too.
func (l *layout) marked() error {
	_, err := statRegular(filepath.Join(l.root, ocispec.ImageLayoutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the directory holds %s but no %s, and is not an OCI layout", entry.ErrInvalid, ocispec.ImageIndexFile, ocispec.ImageLayoutFile)
	}
	return err
}

// vacant reports a directory without index.json that holds something else than
// the beginnings of a layout, and whether index.json has appeared meanwhile.
func (l *layout) vacant(ctx context.Context) (appeared bool, err error) {
	dir, err := os.OpenFile(l.root, os.O_RDONLY|openNonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	for ctx.Err() == nil {
		files, err := dir.ReadDir(1024)
		for _, file := range files {
			switch name := file.Name(); {
			case name == ocispec.ImageIndexFile:
				return true, nil
			case name == ocispec.ImageLayoutFile, name == ocispec.ImageBlobsDir, name == lockFile, strings.HasPrefix(name, atomicfile.Prefix):
			default:
				return false, fmt.Errorf("%w: the directory holds %q and is not an OCI layout", entry.ErrInvalid, name)
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, ctx.Err()
}
