package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	watchFileFormat = 1
	maxWatchFile    = 256 << 20 // bytes
)

// watchFile records what a watch has handled. It is replaced whole, so that whoever
// reads it sees it before a write or after it.
type watchFile struct {
	Format   int                       `json:"format"`
	Catalogs map[string]handledCatalog `json:"catalogs"` // by reference

	path string
	last []byte // that was written, or read
}

// handledCatalog is what was handled of one catalog.
type handledCatalog struct {
	State string            `json:"state,omitempty"` // of a server, before which all is handled
	Known map[string]string `json:"known"`           // the tag that was handled last, by name
}

// openWatchFile reads the file, which need not exist; "" is none.
func openWatchFile(path string) (*watchFile, error) {
	f := &watchFile{Format: watchFileFormat, Catalogs: map[string]handledCatalog{}, path: path}
	if path == "" {
		return f, nil
	}
	invalid := func(reason any) error {
		return withHint(fmt.Errorf("%w: --state %s: %v", entry.ErrInvalid, path, reason),
			"name the file of a watch, or one that is not there yet: then the watch begins now, or with --all")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, invalid("its directory does not exist")
		}
		return f, nil
	case err != nil:
		return nil, invalid(err)
	case !info.Mode().IsRegular() || info.Size() > maxWatchFile:
		return nil, invalid("it is not the file of a watch")
	}
	if f.last, err = os.ReadFile(path); err != nil {
		return nil, invalid(err)
	}
	if err := json.Unmarshal(f.last, f); err != nil || f.Catalogs == nil {
		return nil, invalid("it is not the file of a watch")
	}
	if f.Format != watchFileFormat {
		return nil, invalid(fmt.Sprintf("its format is %d, of another version of caib: want %d", f.Format, watchFileFormat))
	}
	return f, nil
}

// save records what is known of catalogs whose watch has begun. What the file says of
// others stays.
func (f *watchFile) save(all []*watched) error {
	if f.path == "" {
		return nil
	}
	for _, w := range all {
		if w.begun {
			kept := handledCatalog{Known: w.known}
			if w.state != nil {
				kept.State = w.state(w.known)
			}
			f.Catalogs[w.reference] = kept
		}
	}
	if len(f.Catalogs) == 0 { // none was read
		return nil
	}
	text, err := json.Marshal(f)
	if err != nil || bytes.Equal(text, f.last) {
		return err
	}
	if err := replaceFile(f.path, text); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	f.last = text
	return nil
}

// replaceFile writes a file under another name, syncs and renames it.
func replaceFile(path string, text []byte) error {
	written, err := writeBeside(path, text, 0o600)
	if err != nil {
		return err
	}
	if err = os.Rename(written, path); err != nil {
		_ = os.Remove(written)
	}
	return err
}
