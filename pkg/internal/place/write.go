package place

import "io"

// Write makes the file at path of what write writes: the file has its name once it is
// whole, and on the disk. The errors are those of Begin, and those of write.
func Write(path string, force bool, write func(io.Writer) error) error {
	if err := Free(path, force); err != nil {
		return err
	}
	lock, err := acquire(path)
	if err != nil {
		return err
	}
	defer release(lock)
	return writeOut(path, force, write)
}

// writeOut writes a file under another name first. The caller holds the lock.
func writeOut(path string, force bool, write func(io.Writer) error) error {
	out := path + Suffix + ".out"
	err := remove(out)
	if err == nil {
		err = writeFile(out, write)
	}
	if err == nil {
		err = rename(out, path, force)
	}
	if err != nil {
		_ = remove(out)
		return explain(err)
	}
	settle(path)
	return nil
}
