package archive

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/place"
)

// IsCompressed reports whether a file of that name is a compressed archive. A name
// that is not that of an archive is an entry.ErrInvalid.
func IsCompressed(path string) (bool, error) {
	switch lower := strings.ToLower(path); {
	case strings.HasSuffix(lower, ".tar"):
		return false, nil
	case strings.HasSuffix(lower, ".tar.zst"):
		return true, nil
	}
	return false, fmt.Errorf("%w: %s: the name of an archive ends in .tar or .tar.zst", entry.ErrInvalid, path)
}

// Create makes the file of an archive of what write writes. The file has its name once
// it is whole. One that is there is an entry.ErrConflict unless force is set.
func Create(ctx context.Context, path string, force bool, options Options, write func(*Writer) error) error {
	compress, err := IsCompressed(path)
	if err != nil {
		return err
	}
	return place.Write(path, force, func(to io.Writer) error { return Stream(ctx, to, compress, options, write) })
}

// Stream writes an archive of what write writes to a writer. It is whole only if the
// error is nil.
func Stream(ctx context.Context, to io.Writer, compress bool, options Options, write func(*Writer) error) error {
	buffered := bufio.NewWriterSize(to, 1<<20)
	to = buffered
	var frames *compressor
	if compress {
		var err error
		if frames, err = newCompressor(to); err != nil {
			return err
		}
		to = frames
	}
	w, err := NewWriter(to, options)
	if err == nil {
		err = write(w)
	}
	if err == nil {
		err = w.Close(ctx)
	}
	if err == nil && frames != nil {
		err = frames.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	return err
}

// OpenFile opens the file of an archive. The errors are those of Open, and name the
// file.
func OpenFile(ctx context.Context, path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, explain(err)
	}
	info, err := file.Stat()
	var r *Reader
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%w: it is no regular file, and cannot be read at random", entry.ErrInvalid)
	default:
		r, err = Open(ctx, file, info.Size())
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.close = file.Close
	return r, nil
}

// explain gives errors of the disk their kind.
func explain(err error) error {
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("%w: %w", entry.ErrNotFound, err)
	case os.IsPermission(err):
		return fmt.Errorf("%w: %w", entry.ErrUnauthorized, err)
	}
	return err
}
