// Package place puts what is fetched where it belongs: into a file that has its
// name only once it is whole and right.
//
// Beside a file DEST that is being made stand, under names of their own:
//
//	DEST.part         the bytes as they are stored, which the next run goes on from
//	DEST.part.digest  what these bytes are the beginning of
//	DEST.part.out     what was unpacked of them so far
//	DEST.part.lock    held by whoever makes the file
//
// An orderly end leaves the first two at most.
package place

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Suffix ends the name of a file of stored bytes.
const Suffix = ".part"

// Unfinished are the names of what the next run goes on from with a file.
func Unfinished(name string) []string { return []string{name + Suffix, name + Suffix + ".digest"} }

// File is a file that is being made.
type File struct {
	path  string
	force bool
	begun int64
	// unwatched are bytes that were stored since it was seen that they are where they
	// belong.
	unwatched int
	lock      *flock.Flock
	stored    *os.File
	keep      *holes
	out       *os.File // nil: the file is what is stored
	write     *holes
}

// MakeDir makes a directory for files, which nobody else reads, where there is none.
func MakeDir(path string) error {
	err := os.MkdirAll(path, 0o700)
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", entry.ErrInvalid, err)
	}
	return explain(err)
}

// Begin begins to make the file at path from a blob with a digest and a size. A file
// that is there is an entry.ErrConflict unless force is set, and so is one that
// somebody else is making. What an earlier run left of the same blob is kept.
func Begin(path, digest string, size int64, force bool) (*File, error) {
	f := &File{path: path, force: force}
	if err := Free(path, force); err != nil {
		return nil, err
	}
	var err error
	if f.lock, err = acquire(path); err != nil {
		return nil, err
	}
	err = f.open(digest, size)
	switch {
	case errors.Is(err, entry.ErrConflict): // what is in the way stays, however short it is
		release(f.lock)
		return nil, err
	case err != nil:
		f.Leave(true)
		return nil, explain(err)
	}
	return f, nil
}

// Free reports what is in the way of a file: with force, only what is no regular
// file. What force replaces is an fs.ErrExist.
func Free(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return explain(err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is there and is no regular file", entry.ErrConflict, path)
	case !force:
		return exists(path, "")
	}
	return nil
}

// exists is the error of what is there and would be replaced by force. It is an
// fs.ErrExist, which no other conflict is.
func exists(path, since string) error {
	return fmt.Errorf("%w: %s %w already%s", entry.ErrConflict, path, existing{}, since)
}

type existing struct{}

func (existing) Error() string        { return "exists" }
func (existing) Is(target error) bool { return target == fs.ErrExist }

// acquire takes the lock of whoever makes what is at a path. Whoever had it may have
// deleted it meanwhile, and somebody else have made another one: only the one that
// has the name counts.
func acquire(made string) (*flock.Flock, error) {
	path := made + Suffix + ".lock"
	for range 100 {
		if err := regular(path); err != nil {
			return nil, err
		}
		lock := flock.New(path)
		held, err := lock.TryLock()
		if err != nil {
			return nil, explain(err)
		}
		if !held {
			return nil, fmt.Errorf("%w: somebody else is fetching %s at this moment", entry.ErrConflict, made)
		}
		if isNamed(lock) {
			return lock, nil
		}
		lock.Close()
	}
	return nil, fmt.Errorf("%w: %s cannot be locked", entry.ErrConflict, path)
}

// isNamed reports whether a lock that is held is the one that has the name.
func isNamed(lock *flock.Flock) bool {
	own, err := lock.Stat()
	named, missing := os.Lstat(lock.Path())
	return err == nil && missing == nil && os.SameFile(own, named)
}

// gone reports that what is made under a lock is no longer where it was: what has its
// names now is somebody else's.
func gone(lock *flock.Flock) error {
	if isNamed(lock) {
		return nil
	}
	stays := "what was fetched is where the directory is now"
	if own, err := lock.Stat(); err == nil && isRemoved(own) {
		stays = "what was fetched is gone with it"
	}
	return fmt.Errorf("%s is gone, or another file has its name: its directory was removed, moved or unmounted meanwhile, and %s", lock.Path(), stays)
}

// release gives the lock back.
func release(lock *flock.Flock) {
	if !isNamed(lock) {
		_ = lock.Close()
		return
	}
	err := remove(lock.Path()) // while it is held: whoever waits for it sees that it has no name
	_ = lock.Close()
	if err != nil { // some systems remove no file that is open
		_ = remove(lock.Path())
	}
}

// regular reports what has a name and is no regular file: it is never written to.
func regular(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is in the way: it is no regular file", entry.ErrConflict, path)
	}
	return nil
}

// open opens what is stored, or begins it anew.
func (f *File) open(digest string, size int64) error {
	path, note := f.path+Suffix, f.path+Suffix+".digest"
	for _, name := range []string{path, note} {
		if err := regular(name); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%w: %s is there, and no pull left it: move it away", entry.ErrConflict, path)
		}
	}
	if err != nil || string(text) != digest {
		if err := remove(path); err != nil {
			return err
		}
		if err := remove(note); err != nil {
			return err
		}
		write := func(w io.Writer) error { _, err := io.WriteString(w, digest); return err }
		if err := writeFile(note, write); err != nil {
			return err
		}
	}
	if f.stored, err = openOwn(path); err != nil {
		return err
	}
	info, err := f.stored.Stat()
	if err == nil && info.Size() > size {
		err = f.stored.Truncate(0)
	} else if err == nil {
		f.begun = info.Size()
	}
	f.keep = &holes{file: f.stored, at: f.begun}
	return err
}

// openOwn opens a file that only whoever runs this may have open. Another one gives
// way to a new one: who owns it, or has it by another name, could change it after it
// was checked, or has it as something else.
func openOwn(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	if err == nil {
		opened, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if named, err := os.Lstat(path); err == nil && os.SameFile(opened, named) && isOwn(opened) {
			return file, nil
		}
		if err := errors.Join(file.Close(), remove(path)); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// Begun returns the bytes that are stored already, and how many.
func (f *File) Begun() (io.Reader, int64) {
	return io.NewSectionReader(f.stored, 0, f.begun), f.begun
}

// Restart forgets what is stored, and what was unpacked of it. The writers go on from
// the beginning.
func (f *File) Restart() error {
	f.begun = 0
	*f.keep = holes{file: f.stored}
	err := f.stored.Truncate(0)
	if err == nil && f.out != nil {
		*f.write = holes{file: f.out}
		err = f.out.Truncate(0)
	}
	return explain(err)
}

// Store returns the writer of stored bytes, behind those that are there. It says soon
// that they are no longer where they were.
func (f *File) Store() io.Writer { return storing{f} }

type storing struct{ f *File }

func (s storing) Write(p []byte) (int, error) {
	const often = 1 << 20
	if s.f.unwatched += len(p); s.f.unwatched >= often {
		s.f.unwatched = 0
		if err := gone(s.f.lock); err != nil {
			return 0, err
		}
	}
	return s.f.keep.Write(p)
}

// Unpacked returns the writer of the file where it is not what is stored.
func (f *File) Unpacked() (io.Writer, error) {
	path := f.path + Suffix + ".out"
	err := remove(path)
	if err == nil {
		f.out, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	}
	f.write = &holes{file: f.out}
	return f.write, explain(err)
}

// Commit gives the file its name: on the disk first, then under its name. It is
// to be called once what was written is known to be right.
func (f *File) Commit() error {
	file, name := f.stored, f.path+Suffix
	if f.out != nil {
		file, name = f.out, f.path+Suffix+".out"
	}
	err := file.Sync()
	if err == nil {
		err = f.close()
	}
	if err == nil {
		err = gone(f.lock)
	}
	if err == nil {
		err = rename(name, f.path, f.force)
	}
	if err != nil {
		return explain(err)
	}
	f.Leave(false)
	settle(f.path)
	return nil
}

// rename gives a file its name. Without force, it takes no other's place: a link
// says so where the file system has links.
func rename(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := os.Link(from, to)
	if err == nil {
		return remove(from)
	}
	if !errors.Is(err, fs.ErrExist) {
		if err := Free(to, force); err != nil {
			return err
		}
		return os.Rename(from, to)
	}
	return exists(to, ", since a moment ago")
}

// settle makes a new name outlast a power loss, where the system can.
func settle(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

func (f *File) close() (err error) {
	for _, file := range []*os.File{f.stored, f.out} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	f.stored, f.out = nil, nil
	return err
}

// Leave ends the making of a file, and reports whether there are stored bytes that
// the next run goes on from: none where keep is not set. After Commit it does
// nothing.
func (f *File) Leave(keep bool) (kept bool) {
	if f.lock == nil {
		return false
	}
	_ = f.close()
	part := f.path + Suffix
	if !isNamed(f.lock) { // nothing of it is here
		release(f.lock)
		f.lock = nil
		return false
	}
	_ = remove(part + ".out")
	if info, err := os.Lstat(part); keep && err == nil && info.Size() > 0 {
		kept = true
	} else {
		_ = remove(part)
		_ = remove(part + ".digest")
	}
	release(f.lock)
	f.lock = nil
	return kept
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// explain gives errors of the disk that somebody can act on their kind.
func explain(err error) error {
	switch {
	case err == nil || entry.Code(err) != "":
		return err
	case isFull(err):
		return fmt.Errorf("%w: %w", entry.ErrNoRoom, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", entry.ErrUnauthorized, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", entry.ErrInvalid, err)
	}
	return err
}
