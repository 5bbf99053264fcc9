package registry

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oci-catalog/caib/pkg/entry"
)

// openRegular opens a regular file for reading and returns what is known of it.
// Whoever can write to a directory can put there what blocks for ever when it is
// opened or never ends (a FIFO, a device): the file is opened without waiting,
// and what was opened is looked at, not what stood there before.
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

// draft writes a file under a temporary name beside path, synced and with its
// mode. It is renamed to path or removed by the caller.
func (s sharing) draft(path string, write func(io.Writer) error) (name string, info fs.FileInfo, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			file.Close()           // closed already, or of no use
			os.Remove(file.Name()) // a leftover is tolerated
		}
	}()
	if err := s.give(file, s.file()); err != nil {
		return "", nil, err
	}
	buffered := bufio.NewWriterSize(file, 1<<16)
	if err := write(buffered); err != nil {
		return "", nil, err
	}
	if err := buffered.Flush(); err != nil {
		return "", nil, err
	}
	if err := file.Sync(); err != nil {
		return "", nil, err
	}
	if info, err = file.Stat(); err != nil {
		return "", nil, err
	}
	return file.Name(), info, file.Close()
}

// replace puts content at path so that a reader, or a machine that loses
// power, sees the old file or the new one whole: write, sync, rename.
func (s sharing) replace(path string, content []byte) error {
	name, _, err := s.draft(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		os.Remove(name) // a leftover is tolerated
		return err
	}
	syncDirectory(path)
	return nil
}

// syncDirectory makes the rename to path last, where the system can do that.
func syncDirectory(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
