package place

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
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
	root  *os.Root // the directory, whatever has its name meanwhile
}

// BeginTree begins to make the directory at path; what an earlier run left is kept.
// With force, a directory that is there is replaced if it has a file called marks,
// by which it is known as one of its kind. The errors are those of Begin.
func BeginTree(path, marks string, force bool) (*Tree, error) {
	t := &Tree{path: path, force: force, marks: marks}
	if err := t.free(); err != nil {
		return nil, err
	}
	return t, t.begin(t.mend)
}

// BeginArchive begins to make the file at path from a directory.
func BeginArchive(path string, force bool) (*Tree, error) {
	if err := Free(path, force); err != nil {
		return nil, err
	}
	t := &Tree{path: path, force: force}
	return t, t.begin(t.open)
}

func (t *Tree) free() error {
	info, err := os.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(err)
	case !info.IsDir():
		return fmt.Errorf("%w: %s is there and is no directory", entry.ErrConflict, t.path)
	}
	if _, err := os.Lstat(filepath.Join(t.path, t.marks)); err != nil {
		return fmt.Errorf("%w: %s is there and has no %s: it is something else, and stays", entry.ErrConflict, t.path, t.marks)
	}
	if !t.force {
		return exists(t.path, "")
	}
	return nil
}

func (t *Tree) begin(open func() error) (err error) {
	if t.lock, err = acquire(t.path); err != nil {
		return err
	}
	if err := open(); err != nil {
		t.Leave()
		return explain(err)
	}
	return nil
}

// mend is open, after what a run that ended within Commit left is as it was before, or
// after it.
func (t *Tree) mend() error {
	info, err := os.Lstat(t.old())
	if errors.Is(err, fs.ErrNotExist) {
		return t.open()
	}
	if err != nil {
		return err
	}
	_, missing := os.Lstat(t.path)
	_, unmarked := os.Lstat(filepath.Join(t.old(), t.marks))
	switch {
	case !info.IsDir() || !isOwn(info), missing != nil && unmarked != nil:
		return fmt.Errorf("%w: %s is in the way: move it away", entry.ErrConflict, t.old())
	case missing == nil:
		err = os.RemoveAll(t.old())
	default:
		err = os.Rename(t.old(), t.path)
	}
	if err == nil {
		err = t.free()
	}
	if err == nil {
		err = t.open()
	}
	return err
}

// open makes the directory, or takes that of an earlier run: nobody else may have put
// anything there.
func (t *Tree) open() error {
	made := os.Mkdir(t.Dir(), 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	info, err := os.Lstat(t.Dir())
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is in the way: it is no directory", entry.ErrConflict, t.Dir())
	}
	if t.root, err = os.OpenRoot(t.Dir()); err != nil {
		return err
	}
	opened, err := t.root.Stat(".")
	if err != nil {
		return err
	}
	if !os.SameFile(info, opened) || made != nil && (!isOwn(opened) || isShared(opened)) {
		return fmt.Errorf("%w: %s is in the way: others may have written to it; delete it, or pull to another directory", entry.ErrConflict, t.Dir())
	}
	return nil
}

// Dir is the directory as long as it is being made.
func (t *Tree) Dir() string { return t.path + Suffix }

// Path returns the path of a file of the directory, by its name with slashes. The
// directory that it is in is there.
func (t *Tree) Path(name string) (string, error) {
	return filepath.Join(t.Dir(), filepath.FromSlash(name)), explain(t.root.MkdirAll(path.Dir(name), 0o777))
}

// WriteFile writes a file of the directory; one that is there is replaced.
func (t *Tree) WriteFile(name string, content []byte) error {
	if _, err := t.Path(name); err != nil {
		return err
	}
	if err := t.root.RemoveAll(name); err != nil {
		return explain(err)
	}
	file, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return explain(err)
	}
	if _, err = file.Write(content); err == nil {
		err = file.Sync()
	}
	return explain(errors.Join(err, file.Close()))
}

// Because returns why an error came to be, where that is that the directory is gone.
func (t *Tree) Because(err error) error {
	if missing := gone(t.lock); err != nil && missing != nil {
		return missing
	}
	return err
}

// Clear removes from the directory what is none of the files that have a name in it,
// and what is no file. Leftovers have no part in what gets the name.
func (t *Tree) Clear(names []string) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			wanted[dir+"/"] = true
		}
	}
	return explain(fs.WalkDir(t.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case e.IsDir() && wanted[name+"/"], e.Type().IsRegular() && wanted[name]:
			return nil
		}
		if err := t.root.RemoveAll(name); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	}))
}

// publish lets others read the directory as far as the process lets them read what
// it makes.
func (t *Tree) publish() error {
	const usual = ".mode"
	err := t.root.Mkdir(usual, 0o777)
	if err != nil {
		return err
	}
	info, err := t.root.Lstat(usual)
	if err == nil {
		err = t.root.Remove(usual)
	}
	if err == nil {
		err = t.root.Chmod(".", info.Mode()&(fs.ModePerm|fs.ModeSetgid))
	}
	return errors.Join(err, t.closeRoot())
}

// closeRoot lets go of the directory: some systems rename none that is open.
func (t *Tree) closeRoot() (err error) {
	if t.root != nil {
		err, t.root = t.root.Close(), nil
	}
	return err
}

// old is what a directory that is replaced is called for a moment.
func (t *Tree) old() string { return t.path + Suffix + ".old" }

// settle makes the names in the directory outlast a power loss, where the system can.
func (t *Tree) settle() {
	_ = fs.WalkDir(t.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			if dir, err := t.root.Open(name); err == nil {
				_ = dir.Sync()
				_ = dir.Close()
			}
		}
		return err
	})
}

// Commit gives the directory its name.
func (t *Tree) Commit() error {
	if err := gone(t.lock); err != nil {
		return err
	}
	t.settle()
	if err := t.publish(); err != nil {
		return explain(err)
	}
	if err := t.free(); err != nil {
		return err
	}
	replaced := os.Rename(t.path, t.old())
	if replaced != nil && !errors.Is(replaced, fs.ErrNotExist) {
		return explain(replaced)
	}
	if err := os.Rename(t.Dir(), t.path); err != nil {
		if replaced == nil {
			err = errors.Join(err, os.Rename(t.old(), t.path))
		}
		return explain(err)
	}
	settle(t.path)
	return explain(os.RemoveAll(t.old()))
}

// CommitFile gives the file its name that write makes of the directory.
func (t *Tree) CommitFile(write func(io.Writer) error) error {
	if err := gone(t.lock); err != nil {
		return err
	}
	if err := writeOut(t.path, t.force, write); err != nil {
		return err
	}
	_ = t.closeRoot()
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
	_ = t.closeRoot()
	_, err := os.Lstat(t.Dir())
	kept = err == nil && isNamed(t.lock)
	release(t.lock)
	t.lock = nil
	return kept
}
