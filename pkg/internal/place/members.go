package place

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Members are files of an archive that are being made in a directory that is there.
// Until all of them are whole and right, they are in a directory beside the archive's
// stored bytes, DEST.part.members, whose File is held meanwhile.
type Members struct {
	root    *os.Root // of the directory: no name and no link leads out of it
	dir     string
	staging string // in it
	force   bool
	names   []string
}

// BeginMembers begins to make files in a directory, out of the archive that the file
// at path is made from.
func BeginMembers(dir, path string, force bool) (*Members, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, explain(err)
	}
	m := &Members{root: root, dir: dir, staging: filepath.Base(path) + Suffix + ".members", force: force}
	if err := m.Restart(); err != nil {
		m.Leave()
		return nil, err
	}
	return m, nil
}

// Restart forgets what was made.
func (m *Members) Restart() error {
	m.names = nil
	err := m.root.RemoveAll(m.staging)
	if err == nil {
		err = m.root.Mkdir(m.staging, 0o700)
	}
	return explain(err)
}

// Write makes a file of what is read, by its name with slashes. What has the name in
// the directory is an entry.ErrConflict, unless it is a regular file and force is set.
func (m *Members) Write(name string, content io.Reader) (int64, error) {
	if err := m.free(name); err != nil {
		return 0, err
	}
	staged := path.Join(m.staging, name)
	if err := m.root.MkdirAll(path.Dir(staged), 0o777); err != nil {
		return 0, explain(err)
	}
	file, err := m.root.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%w: two files are called %q", entry.ErrMalformed, name)
	} else if err != nil {
		return 0, explain(err)
	}
	written, err := io.CopyBuffer(&holes{file: file}, content, make([]byte, 256<<10))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		m.names = append(m.names, name)
	}
	return written, err
}

// free reports what is in the way of a file.
func (m *Members) free(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		info, err := m.root.Stat(dir)
		if err == nil && !info.IsDir() || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s is in the way of a directory", entry.ErrConflict, filepath.Join(m.dir, dir))
		}
	}
	info, err := m.root.Lstat(name)
	shown := filepath.Join(m.dir, filepath.FromSlash(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is there and is no regular file", entry.ErrConflict, shown)
	case !m.force:
		return exists(shown, "")
	}
	return nil
}

// Commit gives the files their names. It is to be called once all of them are known to
// be right. Where it fails, some have them.
func (m *Members) Commit() error {
	for _, name := range m.names {
		if err := m.free(name); err != nil {
			return err
		}
	}
	for _, name := range m.names {
		err := m.root.MkdirAll(path.Dir(name), 0o777)
		if err == nil {
			err = m.rename(path.Join(m.staging, name), name)
		}
		if err != nil {
			return explain(err)
		}
		settle(filepath.Join(m.dir, filepath.FromSlash(name)))
	}
	return nil
}

// rename gives a file its name. Without force, it takes no other's place: a link says
// so where the file system has links.
func (m *Members) rename(from, to string) error {
	if m.force {
		return m.root.Rename(from, to)
	}
	err := m.root.Link(from, to)
	switch {
	case err == nil:
		return m.root.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return m.free(to)
	}
	if err := m.free(to); err != nil {
		return err
	}
	return m.root.Rename(from, to)
}

// Leave removes what has no name of its own.
func (m *Members) Leave() {
	_ = m.root.RemoveAll(m.staging)
	_ = m.root.Close()
}
