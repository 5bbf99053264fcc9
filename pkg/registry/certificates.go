package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// certificateDir lists the first directory that exists for a host. As with
// docker and podman, one that may not be read is passed over.
func certificateDir(dirs []string, host string) (string, []fs.DirEntry, error) {
	if host == "." || host == ".." || host == "" || strings.ContainsAny(host, `/\`) {
		return "", nil, nil
	}
	if runtime.GOOS == "windows" {
		host = strings.ReplaceAll(host, ":", "")
	}
	for _, parent := range dirs {
		dir := filepath.Join(parent, host)
		files, err := os.ReadDir(dir)
		switch {
		case err == nil:
			return dir, files, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return "", nil, fmt.Errorf("%w: certificates of %s: %v", entry.ErrInvalid, host, err)
		}
	}
	return "", nil, nil
}

// addCertificates reads a host's directory: *.crt are authorities, *.cert is a
// client certificate whose key is the *.key of the same name.
func addCertificates(config *tls.Config, dir string, files []fs.DirEntry) error {
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		var err error
		switch stem := strings.TrimSuffix(path, filepath.Ext(path)); filepath.Ext(path) {
		case ".crt":
			config.RootCAs, err = withAuthorities(config.RootCAs, path)
		case ".cert":
			var pair tls.Certificate
			pair, err = tls.LoadX509KeyPair(path, stem+".key")
			config.Certificates = append(config.Certificates, pair)
		case ".key":
			if _, missing := os.Stat(stem + ".cert"); missing != nil {
				err = errors.New("there is no .cert beside it")
			}
		}
		if err != nil {
			return fmt.Errorf("%w: certificate %s: %v", entry.ErrInvalid, path, err)
		}
	}
	return nil
}

// authorities returns those of the system and of a PEM file. A file without a
// certificate is an entry.ErrInvalid.
func authorities(path string) (*x509.CertPool, error) {
	pool, err := withAuthorities(nil, path)
	if err != nil {
		return nil, fmt.Errorf("%w: CA file %s: %v", entry.ErrInvalid, path, err)
	}
	return pool, nil
}

// withAuthorities adds those of a PEM file to a pool; nil is the system's.
func withAuthorities(pool *x509.CertPool, path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if pool != nil {
		pool = pool.Clone()
	} else if pool, err = x509.SystemCertPool(); err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no PEM certificate in it")
	}
	return pool, nil
}
