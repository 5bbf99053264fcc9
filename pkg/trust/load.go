package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// LoadOptions say where what a policy or a signer needs is found. The zero value
// reads files, and asks the public good instance of sigstore where that is needed.
type LoadOptions struct {
	// Getenv is os.Getenv, as a rule; nil reads no environment, and so no key
	// env://NAME and no key of a plugin. TUF_MIRROR, TUF_ROOT_JSON and TUF_ROOT
	// name another instance of sigstore, as they do for cosign.
	Getenv func(name string) string
	// LookupEnv is os.LookupEnv, as a rule: it lets messages tell a variable that
	// is empty from one that is not set. Nil is by Getenv.
	LookupEnv func(name string) (string, bool)
	// Transport carries requests to web servers and to sigstore; nil is one with
	// the proxies of Getenv.
	Transport http.RoundTripper
	// CacheDir is for what the instance said, which is asked once a day; TUF_ROOT
	// comes first. "" caches nothing.
	CacheDir string
	// NoInstance asks no instance of sigstore. Where a trusted root would be got
	// from it, the verdict on keyless signatures is unknown.
	NoInstance bool
	// Enforce makes rules that only warn refuse as the others do.
	Enforce bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// maxFile bounds keys, roots and policies, in bytes.
const maxFile = 4 << 20

// LoadPolicy reads a policy file, YAML or JSON. The files that it names are
// relative to it; where it names identities and no trusted root, that of the
// public good instance of sigstore is got. If that cannot be reached, the policy
// is made, and under it the verdict on keyless signatures is unknown. The error is
// an entry.ErrInvalid, or that of a transport.
func LoadPolicy(ctx context.Context, path string, options LoadOptions) (*Policy, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("%w: policy: %v", entry.ErrInvalid, err)
	}
	policy, err := readPolicy(text, func(named string) ([]byte, error) {
		if !filepath.IsAbs(named) {
			named = filepath.Join(filepath.Dir(path), named)
		}
		text, err := readBounded(named)
		if err != nil {
			return nil, fmt.Errorf("%w: policy: %v", entry.ErrInvalid, err)
		}
		return text, nil
	}, func() (*Root, error) { return LoadRoot(ctx, "", options) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if options.Enforce {
		policy = policy.enforced()
	}
	return policy, nil
}

// LoadRoot reads a trusted root from a file; "" gets that of the public good
// instance of sigstore, or of the environment's. If an instance cannot be reached,
// under the root that is returned the verdict on keyless signatures is unknown.
func LoadRoot(ctx context.Context, path string, options LoadOptions) (*Root, error) {
	switch {
	case path != "":
		text, err := readBounded(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", entry.ErrInvalid, err)
		}
		root, err := parseRoot(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return root, nil
	case options.NoInstance:
		return missingRoot(errors.New("signatures are checked elsewhere")), nil
	}
	instance, _, err := options.openInstance(ctx)
	var root *Root
	if err == nil {
		root, err = instance.root()
	}
	if errors.Is(err, entry.ErrUnreachable) && ctx.Err() == nil {
		return missingRoot(err), nil
	}
	return root, err
}

// LoadKeys reads the public keys that a reference names, one or more:
//
//	FILE         a PEM file
//	env://NAME   the PEM text in an environment variable
//	NAME://KEY   a key that the program sigstore-kms-NAME holds
//	https://…    a PEM file on a web server
//
// The error is an entry.ErrInvalid for what is no key, an entry.ErrTimeout or
// entry.ErrUnreachable where a web server or a plugin could not be asked.
func LoadKeys(ctx context.Context, reference string, options LoadOptions) ([]*PublicKey, error) {
	loader, err := options.keyLoader()
	if err != nil {
		return nil, err
	}
	return loader.publicKeys(ctx, reference)
}

func (o LoadOptions) transport() (http.RoundTripper, error) {
	if o.Transport != nil {
		return o.Transport, nil
	}
	return registry.NewTransport(registry.Options{Getenv: o.Getenv})
}

func (o LoadOptions) getenv(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

func (o LoadOptions) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o LoadOptions) keyLoader() (*keyLoader, error) {
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	loader := &keyLoader{readFile: readBounded, lookupEnv: o.LookupEnv, transport: transport}
	if o.Getenv != nil {
		loader.lookPath = exec.LookPath
		if o.LookupEnv == nil {
			loader.lookupEnv = func(name string) (string, bool) {
				value := o.Getenv(name)
				return value, value != ""
			}
		}
	}
	return loader, nil
}

// openInstance opens the public good instance of sigstore, or that of the
// environment.
func (o LoadOptions) openInstance(ctx context.Context) (*instance, http.RoundTripper, error) {
	transport, err := o.transport()
	if err != nil {
		return nil, nil, err
	}
	options := instanceOptions{Mirror: o.getenv("TUF_MIRROR"), Cache: o.getenv("TUF_ROOT"), Transport: transport}
	if path := o.getenv("TUF_ROOT_JSON"); path != "" {
		if options.Root, err = readBounded(path); err != nil {
			return nil, nil, fmt.Errorf("%w: TUF_ROOT_JSON: %v", entry.ErrInvalid, err)
		}
	}
	if options.Cache == "" && o.CacheDir != "" {
		options.Cache = filepath.Join(o.CacheDir, "tuf")
	}
	opened, err := openInstance(ctx, options)
	return opened, transport, err
}

// readBounded reads a file, or a pipe, that is not longer than maxFile.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return text, err
}
