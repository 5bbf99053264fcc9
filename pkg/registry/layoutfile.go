package registry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
)

// openRegular opens a regular file for reading and returns what is known of it.
// Whoever can write to a directory can put there what blocks for ever when it is
// opened or never ends (a FIFO, a device): the file is opened without waiting,
// and what was opened is checked, not what was there before.
func openRegular(path string, flags int) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|openNonblock|flags, 0)
	if err != nil {
		return nil, nil, explainOpen(path, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path, info)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// statRegular returns what is known of a regular file.
func statRegular(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainOpen(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(path, info)
	}
	return info, nil
}

// explainOpen tells what cannot be opened, a socket or a symbolic link to
// nothing, from a file that does not exist.
func explainOpen(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if info, failed := os.Lstat(path); failed == nil && !info.Mode().IsRegular() {
		return notRegular(path, info)
	}
	return err
}

// notRegular is an ErrUnreachable, as everything that cannot be read as what it
// should be: it does not say that the content is absent.
func notRegular(path string, info fs.FileInfo) error {
	kind := "something else"
	switch mode := info.Mode(); {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link that leads to no file"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%w: %s is not a regular file but %s", entry.ErrUnreachable, filepath.Base(path), kind)
}

// draft writes a file whole, for whom the layout is shared with.
func (s sharing) draft(path string, write func(io.Writer) error) (*atomicfile.Draft, error) {
	return atomicfile.Write(path, atomicfile.Options{Prepare: s.giveFile}, write)
}

// replace puts content at path.
func (s sharing) replace(path string, content []byte) error {
	return atomicfile.Replace(path, content, atomicfile.Options{Prepare: s.giveFile})
}

func (s sharing) giveFile(file *os.File) error { return s.give(file, s.file()) }
