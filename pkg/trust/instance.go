package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// maxTarget bounds a file of a TUF repository, in bytes.
const maxTarget = maxRoot

// instanceOptions say where an instance of sigstore describes itself. The zero
// value is the public good instance, asked by http.DefaultTransport.
type instanceOptions struct {
	// Mirror is the URL of a TUF repository; "" is the public good instance's.
	Mirror string
	// Root is the root.json that the repository is trusted by; nil is the
	// public good instance's, as of this build.
	Root []byte
	// Cache is a directory for what the repository said: it is asked once a
	// day, and not needed while what it said has not run out. "" keeps nothing.
	Cache string
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// instance is an instance of sigstore: its trusted root and its services, as a
// TUF repository has them.
type instance struct {
	target func(name string) ([]byte, error)
}

// openInstance brings what is known of an instance up to date. ctx is that of
// all requests, those of the methods too. An address or a root that is none is
// an entry.ErrInvalid; everything that keeps the instance from being known for
// sure is an entry.ErrUnreachable: no answer, one that makes no sense, metadata
// that has run out or is by somebody else.
func openInstance(ctx context.Context, options instanceOptions) (*instance, error) {
	mirror := strings.TrimSuffix(options.Mirror, "/")
	if mirror == "" {
		mirror = tuf.DefaultMirror
	}
	at, err := url.Parse(mirror)
	if err != nil || at.Host == "" || (at.Scheme != "https" && at.Scheme != "http") {
		// It is not repeated: it may hold a password.
		return nil, fmt.Errorf("%w: not the address of a TUF repository: want https://HOST/PATH", entry.ErrInvalid)
	}
	o := &tuf.Options{RepositoryBaseURL: mirror, Root: options.Root, CachePath: options.Cache, CacheValidity: 1, Fetcher: fetcher(ctx, options.Transport)}
	if o.Root == nil {
		o.Root = tuf.DefaultRoot()
	} else if _, err := metadata.Root().FromBytes(o.Root); err != nil {
		return nil, fmt.Errorf("%w: root of a TUF repository: %s", entry.ErrInvalid, signature.Printable(err.Error()))
	}
	if options.Cache == "" || os.MkdirAll(options.Cache, 0o700) != nil {
		o.DisableLocalCache = true
	}
	client, err := tuf.New(o)
	if errors.Is(err, entry.ErrUnreachable) && !o.DisableLocalCache {
		// What is in the cache may still be valid.
		o.ForceCache, o.Fetcher = true, download(func(string, int64) ([]byte, error) { return nil, err })
		if cached, stale := tuf.New(o); stale == nil {
			client, err = cached, nil
		}
	}
	if err != nil {
		return nil, instanceError(ctx, mirror, err)
	}
	return &instance{func(name string) ([]byte, error) {
		text, err := client.GetTarget(name)
		if err != nil {
			return nil, instanceError(ctx, mirror, err)
		}
		return text, nil
	}}, nil
}

// root returns the trusted root.
func (i *instance) root() (*Root, error) {
	text, err := i.target("trusted_root.json")
	if err != nil {
		return nil, err
	}
	return parseRoot(text)
}

// services returns the services that are valid now. transport carries the
// requests to them.
func (i *instance) services(transport http.RoundTripper, now time.Time) (*services, error) {
	text, err := i.target("signing_config.v0.2.json")
	if err != nil {
		return nil, err
	}
	return parseSigningConfig(text, transport, now)
}

func instanceError(ctx context.Context, mirror string, err error) error {
	var failed *downloadError
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, &failed):
		err = failed.error
	case !errors.Is(err, entry.ErrUnreachable):
		err = fmt.Errorf("%w: %v", entry.ErrUnreachable, err)
	}
	return fmt.Errorf("sigstore's TUF repository %s: %w", host(mirror), err)
}

// downloadError is why a file was not downloaded.
type downloadError struct{ error }

func (e *downloadError) Unwrap() error { return e.error }

type download func(address string, limit int64) ([]byte, error)

// DownloadFile makes it a fetcher of go-tuf.
func (d download) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	return d(address, limit)
}

// fetcher downloads files of a TUF repository. Each may take half of the time
// that is left: what is known without the repository is to be said in the rest.
func fetcher(ctx context.Context, transport http.RoundTripper) download {
	client := &http.Client{Transport: transport}
	return func(address string, limit int64) ([]byte, error) {
		patience := serviceTimeout
		if deadline, ok := ctx.Deadline(); ok {
			patience = min(patience, time.Until(deadline)/2)
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		request, err := http.NewRequestWithContext(limited, http.MethodGet, address, nil)
		if err != nil {
			return nil, &downloadError{fmt.Errorf("%w: %v", entry.ErrInvalid, err)}
		}
		response, err := fetch(client.Do, request, min(limit, maxTarget))
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%w: %w", entry.ErrUnreachable, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: request.URL.Redacted()})
		}
		if err != nil {
			return nil, &downloadError{err}
		}
		return io.ReadAll(response.Body) // in memory
	}
}
