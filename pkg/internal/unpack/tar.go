package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// tarType is the media type of a tar, with +gzip and the like where it is compressed.
const tarType = "application/vnd.oci.image.layer.v1.tar"

// maxMembers bounds what a tar holds.
const maxMembers = 10_000

// IsTar reports whether a media type is that of a tar.
func IsTar(mediaType string) bool {
	rest, found := strings.CutPrefix(mediaType, tarType)
	return found && (rest == "" || rest[0] == '+')
}

// ErrSeveral: a tar holds several files, where one has room. It is an
// entry.ErrInvalid.
var ErrSeveral = fmt.Errorf("%w: the tar holds several files, and here is room for one", entry.ErrInvalid)

// Tar reads the files of a tar, one after the other. Directories are passed over;
// what else is no regular file is an entry.ErrMalformed, and so is a tar that makes no
// sense, or says of its files that they have more than a bound. Errors of the stream
// are returned as they are.
type Tar struct {
	source *source
	reader *tar.Reader
	unsafe func(name string) string
	left   int64 // bytes that more files may have
	count  int
	files  map[string]bool // in lower case: some file systems make no difference
	dirs   map[string]bool
}

// NewTar returns a reader of the files of a tar that have no more than most bytes,
// with their holes. Each part of a file's name is asked why it is none; nil asks
// nothing of names.
func NewTar(from io.Reader, most int64, unsafe func(name string) string) *Tar {
	s := &source{from: from}
	return &Tar{source: s, reader: tar.NewReader(s), unsafe: unsafe, left: most, files: map[string]bool{}, dirs: map[string]bool{}}
}

// Next goes on to the next file, and returns its name, with slashes. The error is
// io.EOF at the end of the stream, which it has read then.
func (t *Tar) Next() (name string, err error) {
	for {
		header, err := t.reader.Next()
		if errors.Is(err, io.EOF) && (t.source.err == nil || errors.Is(t.source.err, io.EOF)) {
			return "", t.end()
		}
		if err != nil {
			return "", t.explain(err)
		}
		if t.count++; t.count > maxMembers {
			return "", wrongTar("holds more than %d files", maxMembers)
		}
		switch header.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg, tar.TypeGNUSparse:
		default:
			return "", wrongTar("holds %.80q, which is no regular file", header.Name)
		}
		if header.Size > t.left {
			return "", wrongTar("holds more bytes than it may have")
		}
		t.left -= header.Size
		if t.unsafe == nil {
			return header.Name, nil
		}
		return t.named(header.Name)
	}
}

// named checks the name of a file, and that no other has it.
func (t *Tar) named(stated string) (string, error) {
	name := stated
	for strings.HasPrefix(name, "./") {
		name = strings.TrimPrefix(name, "./")
	}
	if len(name) > 1024 {
		return "", wrongTar("holds %.80q, which is no name for a file: it is too long", stated)
	}
	for part := range strings.SplitSeq(name, "/") {
		if reason := t.unsafe(part); reason != "" {
			return "", wrongTar("holds %.80q, which is no name for a file: %s", stated, reason)
		}
	}
	key := strings.ToLower(name)
	twice := t.files[key] || t.dirs[key]
	t.files[key] = true
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		twice = twice || t.files[dir]
		t.dirs[dir] = true
	}
	if twice {
		return "", wrongTar("holds two files that are called %.80q, or are in one another", name)
	}
	return name, nil
}

// Read reads the file that Next returned.
func (t *Tar) Read(p []byte) (int, error) {
	n, err := t.reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = t.explain(err)
	}
	return n, err
}

// end reads what follows the last file: padding.
func (t *Tar) end() error {
	if t.count == 0 {
		return wrongTar("holds nothing")
	}
	if _, err := io.Copy(io.Discard, t.source); err != nil {
		return err
	}
	return io.EOF
}

func (t *Tar) explain(err error) error {
	if own := t.source.err; own != nil && !errors.Is(own, io.EOF) {
		return own
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return wrongTar("is cut short")
	}
	return wrongTar("cannot be read: %v", err)
}

func wrongTar(format string, args ...any) error {
	return fmt.Errorf("%w: the tar %s", entry.ErrMalformed, fmt.Sprintf(format, args...))
}

// Only returns the content of the one file that a tar holds, of no more than most
// bytes. Several are an ErrSeveral. The other errors are those of Tar. Whoever reads
// it reads to the end.
func Only(from io.Reader, most int64) io.Reader { return &only{tar: NewTar(from, most, nil)} }

type only struct {
	tar   *Tar
	begun bool
}

func (o *only) Read(p []byte) (int, error) {
	if !o.begun {
		if _, err := o.tar.Next(); errors.Is(err, io.EOF) {
			return 0, wrongTar("holds no file")
		} else if err != nil {
			return 0, err
		}
		o.begun = true
	}
	n, err := o.tar.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if _, err = o.tar.Next(); err == nil {
		err = ErrSeveral
	}
	return n, err
}
