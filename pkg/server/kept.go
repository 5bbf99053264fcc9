package server

import (
	"bufio"
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
)

const (
	keptFormat = 2       // 1 held what registries had answered
	maxKept    = 1 << 30 // bytes of a file
)

// keptHeader is the first line of the file that keeps what was served for the
// next start. The entries follow as they were answered, one a line; the last
// line is the SHA-256 of all before it. It is a cache: what does not fit this
// server, or is not whole, is not used.
type keptHeader struct {
	Format   int      `json:"format"`
	Version  string   `json:"version"` // of the build: items may have other members in another one
	Catalogs []string `json:"catalogs"`
}

// keep writes the state to the file of Options.Keep, unless it is there. The
// time of the file is that of the last look at the logs.
func (s *Server) keep() {
	now := s.state.Load()
	if s.options.Keep == "" || now == nil {
		return
	}
	age, known := s.follower.age()
	if now != s.kept.Load() {
		if err := now.write(s.options.Keep, s.keptHeader()); err != nil {
			s.log.Warn("what is served is not kept for the next start", "error", err.Error())
			return
		}
		s.kept.Store(now)
	}
	if known {
		_ = os.Chtimes(s.options.Keep, time.Time{}, time.Now().Add(-age)) // else the next start says less about its age
	}
}

func (s *Server) keptHeader() keptHeader {
	header := keptHeader{Format: keptFormat, Version: s.options.Version}
	for _, one := range s.follower.followed {
		header.Catalogs = append(header.Catalogs, one.catalog.Reference())
	}
	return header
}

// write replaces the file whole, or leaves it as it is.
func (s *state) write(path string, header keptHeader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone by then, if all went well
	err = s.writeTo(file, header)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (s *state) writeTo(file io.Writer, header keptHeader) error {
	hash := sha256.New()
	buffered := bufio.NewWriterSize(file, 64<<10)
	to := io.MultiWriter(hash, buffered)
	line, err := json.Marshal(header)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "%s\n", line)
	for _, i := range s.images {
		fmt.Fprintf(to, "%s\n", i.text)
	}
	fmt.Fprintf(buffered, "%x\n", hash.Sum(nil))
	return buffered.Flush() // reports what any write before met
}

// recallKept serves what the process before served, where that was kept.
func (s *Server) recallKept(ctx context.Context) {
	if s.options.Keep == "" {
		return
	}
	kept, read, err := readKept(ctx, s.options.Keep, s.keptHeader())
	if err != nil {
		s.log.Debug("nothing is kept from before", "reason", err.Error())
		return
	}
	s.follower.kept = read
	s.state.CompareAndSwap(nil, kept)
}

// readKept reads the file, and when its state was read from the logs. Every
// failure is an error: half of a catalog is worth nothing.
func readKept(ctx context.Context, path string, wanted keptHeader) (*state, time.Time, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() > maxKept {
		return nil, time.Time{}, cmp.Or(err, errors.New("it is too long"))
	}
	text := make([]byte, info.Size())
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, time.Time{}, err
	}
	kept, err := parseKept(ctx, text, wanted)
	return kept, info.ModTime(), err
}

// parseKept decodes what a file holds, on all processors.
func parseKept(ctx context.Context, text []byte, wanted keptHeader) (*state, error) {
	lines, err := keptLines(text)
	if err != nil {
		return nil, err
	}
	var header keptHeader
	if err := json.Unmarshal(lines[0], &header); err != nil {
		return nil, err
	}
	if header.Format != wanted.Format || header.Version != wanted.Version || !slices.Equal(header.Catalogs, wanted.Catalogs) {
		return nil, errors.New("it is another server's")
	}
	lines = lines[1:]
	images := make([]*image, len(lines))
	err = inParallel(ctx, len(lines), func(n int) (err error) {
		images[n], err = readImage(lines[n])
		return err
	})
	if err != nil {
		return nil, err
	}
	recalled := newState(nil, images, nil, nil)
	recalled.recalled = true
	return recalled, nil
}

// keptLines cuts a file into header and entries.
func keptLines(text []byte) ([][]byte, error) {
	lines := bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})
	last := len(lines) - 1
	sum := sha256.Sum256(text[:max(0, len(text)-len(lines[last])-1)])
	if last < 1 || string(lines[last]) != hex.EncodeToString(sum[:]) {
		return nil, errors.New("it is not whole")
	}
	return lines[:last], nil
}
