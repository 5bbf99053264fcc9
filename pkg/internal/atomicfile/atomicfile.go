// Package atomicfile replaces files whole: write under another name, sync,
// rename. A reader, or a machine that loses power, sees the old file or the new
// one.
//
//	err := atomicfile.Replace(path, content, atomicfile.Options{})
//
// A caller with something to do between writing and renaming makes a draft:
//
//	draft, err := atomicfile.Write(path, atomicfile.Options{}, write)
//	defer draft.Discard()
//	…
//	err = draft.Rename()
package atomicfile

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Prefix begins the names of files that are not renamed yet, or never will be
// since the process that wrote them was killed.
const Prefix = ".tmp-"

// Options say how a file is written.
type Options struct {
	// Mode is the file's mode, whatever the umask; 0 is 0600. Nobody else can
	// read the file before it has it.
	Mode fs.FileMode
	// Prepare is called with the empty file and its mode still 0600, and sets
	// the mode in place of Mode; nil is none.
	Prepare func(*os.File) error
	// NoSync saves the syncs, for content whose readers find out by themselves
	// that a power loss damaged it.
	NoSync bool
}

// Draft is a file that was written whole and has not its name yet.
type Draft struct {
	Info fs.FileInfo

	path, temporary string
	options         Options
}

// Write writes a draft in the directory of path, which exists. write gets a
// buffered writer.
func Write(path string, options Options, write func(io.Writer) error) (draft *Draft, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), Prefix+"*")
	if err != nil {
		return nil, err
	}
	d := &Draft{path: path, temporary: file.Name(), options: options}
	defer func() {
		if err != nil {
			file.Close() // closed already, or of no use
			d.Discard()
		}
	}()
	switch {
	case options.Prepare != nil:
		err = options.Prepare(file)
	case options.Mode != 0:
		err = file.Chmod(options.Mode)
	}
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriterSize(file, 64<<10)
	if err := write(buffered); err != nil {
		return nil, err
	}
	if err := buffered.Flush(); err != nil {
		return nil, err
	}
	if !options.NoSync {
		if err := file.Sync(); err != nil {
			return nil, err
		}
	}
	if d.Info, err = file.Stat(); err != nil {
		return nil, err
	}
	return d, file.Close()
}

// Rename gives a draft its name, in the place of what has it.
func (d *Draft) Rename() error {
	if err := os.Rename(d.temporary, d.path); err != nil {
		return err
	}
	d.temporary = ""
	if d.options.NoSync {
		return nil
	}
	// Where the system can, the new name outlasts a power loss; the content does
	// anyhow.
	if dir, err := os.Open(filepath.Dir(d.path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// Discard removes a draft that was not renamed. A leftover does no harm.
func (d *Draft) Discard() {
	if d.temporary != "" {
		_ = os.Remove(d.temporary)
	}
}

// Replace puts content at path.
func Replace(path string, content []byte, options Options) error {
	return ReplaceBy(path, options, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// ReplaceBy puts at path what write writes.
func ReplaceBy(path string, options Options, write func(io.Writer) error) error {
	draft, err := Write(path, options, write)
	if err != nil {
		return err
	}
	defer draft.Discard()
	return draft.Rename()
}
