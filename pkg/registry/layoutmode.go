package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// sharing is with whom the files of a layout are shared: with those who share
// its directory, whatever the umask of the process that makes them.
type sharing struct {
	mode fs.FileMode // of the layout's directory
	info fs.FileInfo
}

// sharing returns how the layout's directory is shared.
func (l *layout) sharing() (sharing, error) {
	info, err := os.Stat(l.root)
	if err != nil {
		return sharing{}, err
	}
	return sharing{info.Mode(), info}, nil
}

// file is the mode of a file. Others never write to it: who may write to the
// directory replaces it.
func (s sharing) file() fs.FileMode { return 0o600 | s.mode&0o064 }

// lock is the mode of the lock, which on some file systems only those can take
// who can write to it. Its content means nothing.
func (s sharing) lock() fs.FileMode { return 0o600 | s.mode&0o066 }

// directory is the mode of a directory.
func (s sharing) directory() fs.FileMode { return 0o700 | s.mode&(0o777|fs.ModeSetgid) }

// give gives a file that this process made the group of the layout's directory,
// and a mode. Where it cannot have that group, its own group gets no more than
// others do.
func (s sharing) give(file *os.File, mode fs.FileMode) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	asOthers := mode&^0o070 | mode&0o007<<3
	if mode != asOthers && group(info) != group(s.info) && file.Chown(-1, group(s.info)) != nil {
		mode = asOthers
	}
	return file.Chmod(mode)
}

// mend gives a file or directory that is there what the process that made it
// did not: an earlier version, or one that was killed. Only its owner can.
func (s sharing) mend(file *os.File, mode fs.FileMode) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	have := info.Mode() & (fs.ModePerm | fs.ModeSetgid)
	switch {
	case group(info) != group(s.info):
		err = file.Chown(-1, group(s.info))
	case have&mode == mode:
		return nil
	}
	if err == nil {
		err = file.Chmod(have | mode)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// makeDirectory makes a directory of the layout, if it is missing.
func (s sharing) makeDirectory(path string) error {
	made := os.Mkdir(path, s.directory().Perm())
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	dir, err := os.OpenFile(path, os.O_RDONLY|openNonblock|openNoFollow, 0)
	if err != nil { // a link to a directory, or one that only its owner may read
		return nil
	}
	defer dir.Close()
	if info, err := dir.Stat(); err != nil || !info.IsDir() {
		return err // what is not a directory shows when a file is put there
	}
	if made != nil {
		return s.mend(dir, s.directory())
	}
	return s.give(dir, s.directory())
}

// makeRoot makes the layout's directory and those above, if they are missing.
// Below a directory that is there for a group, with its setgid bit, they are
// for that group as well.
func (l *layout) makeRoot() error {
	var missing []string
	above := filepath.Clean(l.root)
	for {
		_, err := os.Lstat(above)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, above)
		above = filepath.Dir(above)
	}
	if len(missing) == 0 {
		return nil
	}
	info, err := os.Stat(above)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSetgid == 0 || info.Mode()&0o020 == 0 {
		return os.MkdirAll(l.root, 0o777)
	}
	for _, path := range slices.Backward(missing) {
		if err := (sharing{info.Mode(), info}).makeDirectory(path); err != nil {
			return err
		}
	}
	return nil
}

// makeMarker makes the file that says that the directory is a layout.
func (l *layout) makeMarker(s sharing) error {
	path := filepath.Join(l.root, ocispec.ImageLayoutFile)
	if _, err := statRegular(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.replace(path, []byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`))
}
