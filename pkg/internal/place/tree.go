package place

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Tree is a directory that is being made, under the name DEST.part. It becomes DEST,
// or what one file DEST is written from.
type Tree struct {
	path  string
	force bool
	marks string
	lock  *flock.Flock
}

// BeginTree begins to make the directory at path; what an earlier run left is kept.
// With force, a directory that is there is replaced if it has a file called marks,
// by which it is known as one of its kind. The errors are those of Begin.
func BeginTree(path, marks string, force bool) (*Tree, error) {
	t := &Tree{path: path, force: force, marks: marks}
	if err := t.free(); err != nil {
		return nil, err
	}
	return t, t.begin()
}

// BeginArchive begins to make the file at path from a directory.
func BeginArchive(path string, force bool) (*Tree, error) {
	if err := Free(path, force); err != nil {
		return nil, err
	}
	t := &Tree{path: path, force: force}
	return t, t.begin()
}

func (t *Tree) free() error {
	info, err := os.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(err)
	case !t.force:
		return fmt.Errorf("%w: %s exists already", entry.ErrConflict, t.path)
	case !info.IsDir():
		return fmt.Errorf("%w: %s is there and is no directory", entry.ErrConflict, t.path)
	}
	if _, err := os.Lstat(filepath.Join(t.path, t.marks)); err != nil {
		return fmt.Errorf("%w: %s is there and has no %s: it is something else, and stays", entry.ErrConflict, t.path, t.marks)
	}
	return nil
}

func (t *Tree) begin() (err error) {
	if info, err := os.Lstat(t.Dir()); err == nil && !info.IsDir() {
		return fmt.Errorf("%w: %s is in the way: it is no directory", entry.ErrConflict, t.Dir())
	}
	if t.lock, err = acquire(t.path); err != nil {
		return err
	}
	if err := os.MkdirAll(t.Dir(), 0o777); err != nil {
		t.Leave()
		return explain(err)
	}
	return nil
}

// Dir is the directory as long as it is being made.
func (t *Tree) Dir() string { return t.path + Suffix }

// Commit gives the directory its name.
func (t *Tree) Commit() error {
	old := t.path + Suffix + ".old"
	if t.force {
		if err := os.Rename(t.path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain(err)
		}
	} else if err := t.free(); err != nil {
		return err
	}
	if err := os.Rename(t.Dir(), t.path); err != nil {
		return explain(err)
	}
	settle(t.path)
	return explain(os.RemoveAll(old))
}

// CommitFile gives the file its name that write makes of the directory.
func (t *Tree) CommitFile(write func(io.Writer) error) error {
	out := t.path + Suffix + ".out"
	err := remove(out)
	if err == nil {
		err = writeFile(out, write)
	}
	if err == nil {
		err = rename(out, t.path, t.force)
	}
	if err != nil {
		_ = remove(out)
		return explain(err)
	}
	settle(t.path)
	return explain(os.RemoveAll(t.Dir()))
}

// writeFile writes a file that does not exist, and has it on the disk.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Leave ends the making of a directory, and reports whether there is something that
// the next run goes on from.
func (t *Tree) Leave() (kept bool) {
	if t.lock == nil {
		return false
	}
	_, err := os.Lstat(t.Dir())
	release(t.lock)
	t.lock = nil
	return err == nil
}
