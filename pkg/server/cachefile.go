package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
)

const (
	cacheFileFormat = 2       // 1 held what registries had answered
	maxCacheFile    = 1 << 30 // bytes of a file
)

// cacheFileHeader is the first line of the file that keeps what was served for the
// next start. The entries follow as they were answered, one a line; the last
// line is the SHA-256 of all before it. It is a cache: what does not fit this
// server, or is not whole, is not used.
type cacheFileHeader struct {
	Format   int      `json:"format"`
	Version  string   `json:"version"` // of the build: items may have other members in another one
	Catalogs []string `json:"catalogs"`
}

// writeCacheFile writes the state to the file of Options.CacheFile, unless it is there. The
// time of the file is that of the last read of the logs.
func (s *Server) writeCacheFile() {
	now := s.state.Load()
	if s.options.CacheFile == "" || now == nil {
		return
	}
	age, known := s.follower.age()
	if now != s.kept.Load() {
		if err := now.write(s.options.CacheFile, s.cacheFileHeader()); err != nil {
			s.log.Warn("what is served is not kept for the next start", "error", err.Error())
			return
		}
		s.kept.Store(now)
	}
	if known {
		_ = os.Chtimes(s.options.CacheFile, time.Time{}, time.Now().Add(-age)) // else the next start says less about its age
	}
}

func (s *Server) cacheFileHeader() cacheFileHeader {
	header := cacheFileHeader{Format: cacheFileFormat, Version: s.options.Version}
	for _, one := range s.follower.followed {
		header.Catalogs = append(header.Catalogs, one.catalog.Reference())
	}
	return header
}

// write replaces the file whole, or leaves it as it is.
func (s *state) write(path string, header cacheFileHeader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.ReplaceBy(path, atomicfile.Options{}, func(file io.Writer) error { return s.writeTo(file, header) })
}

func (s *state) writeTo(file io.Writer, header cacheFileHeader) error {
	hash := sha256.New()
	to := io.MultiWriter(hash, file)
	line, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(to, "%s\n", line); err != nil {
		return err
	}
	for _, i := range s.entries {
		if _, err := fmt.Fprintf(to, "%s\n", i.text); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(file, "%x\n", hash.Sum(nil))
	return err
}

// loadCacheFile serves what the process before served, where that was kept.
func (s *Server) loadCacheFile(ctx context.Context) {
	if s.options.CacheFile == "" {
		return
	}
	kept, read, err := readCacheFile(ctx, s.options.CacheFile, s.cacheFileHeader())
	if err != nil {
		s.log.Debug("nothing is kept from before", "reason", err.Error())
		return
	}
	s.follower.kept = read
	s.state.CompareAndSwap(nil, kept)
}

// readCacheFile reads the file, and when its state was read from the logs. Every
// failure is an error: half of a catalog is worth nothing.
func readCacheFile(ctx context.Context, path string, wanted cacheFileHeader) (*state, time.Time, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() > maxCacheFile {
		return nil, time.Time{}, cmp.Or(err, errors.New("it is too long"))
	}
	text := make([]byte, info.Size())
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, time.Time{}, err
	}
	kept, err := decodeCacheFile(ctx, text, wanted)
	return kept, info.ModTime(), err
}

// decodeCacheFile decodes what a file holds, on all processors.
func decodeCacheFile(ctx context.Context, text []byte, wanted cacheFileHeader) (*state, error) {
	lines, err := cacheFileLines(text)
	if err != nil {
		return nil, err
	}
	var header cacheFileHeader
	if err := json.Unmarshal(lines[0], &header); err != nil {
		return nil, err
	}
	if header.Format != wanted.Format || header.Version != wanted.Version || !slices.Equal(header.Catalogs, wanted.Catalogs) {
		return nil, errors.New("it is another server's")
	}
	lines = lines[1:]
	entries := make([]*servedEntry, len(lines))
	err = inParallel(ctx, len(lines), func(n int) (err error) {
		entries[n], err = decodeServedEntry(lines[n])
		return err
	})
	if err != nil {
		return nil, err
	}
	fromCache := newState(ctx, nil, entries, nil, nil, nil)
	fromCache.fromCache = true
	return fromCache, nil
}

// cacheFileLines cuts a file into header and entries.
func cacheFileLines(text []byte) ([][]byte, error) {
	lines := bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})
	last := len(lines) - 1
	sum := sha256.Sum256(text[:max(0, len(text)-len(lines[last])-1)])
	if last < 1 || string(lines[last]) != hex.EncodeToString(sum[:]) {
		return nil, errors.New("it is not whole")
	}
	return lines[:last], nil
}
