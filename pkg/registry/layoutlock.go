package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	// lockFile is held by the process that changes the layout. The operating
	// system releases it when that process ends, however it ends.
	lockFile  = "index.json.lock"
	lockRetry = 5 * time.Millisecond
)

// lock waits for the layout's lock.
func (l *layout) lock(ctx context.Context, s sharing) (*flock.Flock, error) {
	path := filepath.Join(l.root, lockFile)
	if err := s.makeLock(path); err != nil {
		return nil, err
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY|openNonblock|openNoFollow))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("another process holds %s: %w", lockFile, ctx.Err())
		}
		return nil, explainOpen(path, err)
	}
	info, err := lock.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path, info)
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// makeLock makes the lock file if it is missing. It never makes or opens what a
// symbolic link leads to.
func (s sharing) makeLock(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, s.lock())
	if err == nil {
		defer file.Close()
		return s.give(file, s.lock())
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	file, info, err := openRegular(path, openNoFollow)
	if err != nil {
		return err
	}
	defer file.Close()
	if info.Size() > 0 { // not a lock but a hard link to another file
		return nil
	}
	return s.mend(file, s.lock())
}
