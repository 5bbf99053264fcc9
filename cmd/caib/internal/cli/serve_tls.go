package cli

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// certificateInterval is how often a certificate's files are checked at.
const certificateInterval = time.Second

// keyPair is a certificate with its key, read again when their files change.
type keyPair struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed [2]time.Time // of the files that pair is from
	checked time.Time
	failed  string // why the files were not taken, as it was logged
}

// openKeyPair reads a certificate. One that cannot be used is an
// entry.ErrInvalid.
func openKeyPair(cert, key string, now func() time.Time, log *slog.Logger) (*keyPair, error) {
	k := &keyPair{cert: cert, key: key, now: now, log: log}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.read(); err != nil {
		return nil, withHint(fmt.Errorf("%w: certificate: %v", entry.ErrInvalid, err), "give the server's own certificate and its key, PEM, with --tls-cert and --tls-key")
	}
	return k, nil
}

// certificate returns what is to be shown now. Files that are being replaced,
// or do not fit together, leave the last one that did; the log says so, once.
func (k *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now().Sub(k.checked).Abs() >= certificateInterval {
		failed := ""
		if err := k.read(); err != nil {
			failed = err.Error()
		}
		if failed != "" && failed != k.failed {
			k.log.Error("the certificate that changed cannot be used: the last one is shown", "error", failed)
		}
		k.failed = failed
	}
	return k.pair, nil
}

// read reads the files if they changed. The caller holds the lock.
func (k *keyPair) read() error {
	k.checked = k.now()
	var changed [2]time.Time
	for i, path := range []string{k.cert, k.key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		changed[i] = info.ModTime()
	}
	if k.pair != nil && changed == k.changed {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return err
	}
	k.pair, k.changed = &pair, changed
	return nil
}
