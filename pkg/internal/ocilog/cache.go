package ocilog

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
	"github.com/opencontainers/go-digest"
)

// DefaultCacheSize is the size cap of a cache, in bytes.
const DefaultCacheSize = 256 << 20

// Cache is a directory of segments and of what is known of each log. Any
// number of processes may share it: files appear whole, by rename, and are
// checked on every read. A fault of the cache is a miss, never an error. The
// nil Cache holds nothing.
type Cache struct {
	dir string
	max int64
}

// NewCache makes a cache in dir, which need not exist. The files in it stay
// below max bytes, those used least recently going first; 0 is
// DefaultCacheSize.
func NewCache(dir string, max int64) *Cache {
	return &Cache{dir: dir, max: cmp.Or(max, DefaultCacheSize)}
}

// blob returns the blob with this digest.
func (c *Cache) blob(d digest.Digest) ([]byte, bool) {
	if c == nil || d.Validate() != nil {
		return nil, false
	}
	blob, ok := c.get(c.blobPath(d))
	return blob, ok && d.Algorithm().FromBytes(blob) == d
}

// has reports whether there is a file for the blob with this digest. What is in it is
// found out by reading it.
func (c *Cache) has(d digest.Digest) bool {
	if c == nil || d.Validate() != nil {
		return false
	}
	_, err := os.Stat(c.blobPath(d))
	return err == nil
}

func (c *Cache) putBlob(d digest.Digest, blob []byte) {
	if c != nil && d.Validate() == nil {
		c.put(c.blobPath(d), blob)
	}
}

func (c *Cache) blobPath(d digest.Digest) string {
	return filepath.Join(c.dir, "segments", d.Algorithm().String(), d.Encoded())
}

// cacheFile is a file of the cache that has a name and no digest: the one who
// reads it checks what is in it. The zero cacheFile holds nothing.
type cacheFile struct {
	cache *Cache
	path  string
}

// file returns the file with what is known of a log, or of its status.
func (c *Cache) file(id string) cacheFile {
	if c == nil {
		return cacheFile{}
	}
	sum := sha256.Sum256([]byte(id))
	return cacheFile{c, filepath.Join(c.dir, "logs.v2", hex.EncodeToString(sum[:]))}
}

func (f cacheFile) read() ([]byte, bool) {
	if f.cache == nil {
		return nil, false
	}
	return f.cache.get(f.path)
}

func (f cacheFile) write(content []byte) {
	if f.cache != nil {
		f.cache.put(f.path, content)
	}
}

func (c *Cache) get(path string) ([]byte, bool) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	blob, err := io.ReadAll(io.LimitReader(file, c.max))
	if err != nil {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // marks it as used; a read-only cache still serves
	return blob, true
}

// put replaces a file by rename. It is not synced: what a power loss leaves
// behind is found out by its digest.
func (c *Cache) put(path string, blob []byte) {
	if int64(len(blob)) > c.max/2 || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	if atomicfile.Replace(path, blob, atomicfile.Options{NoSync: true}) == nil {
		c.evict()
	}
}

// evict removes the files used least recently until the rest fits. Another
// process may have one of them open, or remove it first: both are harmless.
func (c *Cache) evict() {
	type used struct {
		path string
		size int64
		at   time.Time
	}
	var files []used
	var total int64
	_ = filepath.WalkDir(c.dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil || item.IsDir() {
			return nil
		}
		if info, err := item.Info(); err == nil {
			files = append(files, used{path, info.Size(), info.ModTime()})
			total += info.Size()
		}
		return nil
	})
	slices.SortFunc(files, func(a, b used) int { return a.at.Compare(b.at) })
	for _, file := range files {
		if total <= c.max {
			return
		}
		if os.Remove(file.path) == nil {
			total -= file.size
		}
	}
}
