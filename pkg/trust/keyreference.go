package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// keyLoader reads the keys that references name:
//
//	FILE         a PEM file
//	env://NAME   the PEM text in an environment variable
//	NAME://KEY   a key that the program sigstore-kms-NAME holds
//	https://...  a PEM file on a web server, for public keys only
//
// A kind of reference for which nothing is given here is refused, so the zero
// keyLoader reads no key. It is safe for concurrent use if what it is given is.
type keyLoader struct {
	// readFile reads a file, and bounds its size.
	readFile func(path string) ([]byte, error)
	// lookupEnv is os.LookupEnv, as a rule.
	lookupEnv func(name string) (string, bool)
	// lookPath finds plugins; it is exec.LookPath, as a rule.
	lookPath func(file string) (string, error)
	// Transport carries requests to web servers.
	transport http.RoundTripper
}

// Bounds of a fetched key file.
const (
	maxFetchedKeys = 64 << 10 // bytes
	fetchTimeout   = 15 * time.Second
	maxRedirects   = 5
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// publicKeys reads the public keys that a reference names: one or more. The
// error is an entry.ErrInvalid for what is no key, an entry.ErrTimeout or
// entry.ErrUnreachable where a web server or a plugin could not be asked.
func (l *keyLoader) publicKeys(ctx context.Context, reference string) ([]*PublicKey, error) {
	scheme, rest, err := splitReference(reference)
	if err != nil {
		return nil, err
	}
	switch scheme {
	case "", "env":
		text, err := l.read(scheme, rest)
		if err != nil {
			return nil, err
		}
		name := signature.Shorten(reference)
		if scheme == "" {
			name = filepath.Base(reference)
		}
		return ParsePublicKeys(name, text)
	case "https":
		return l.fetch(ctx, reference)
	}
	signer, err := l.plugin(ctx, reference)
	if err != nil {
		return nil, err
	}
	return []*PublicKey{signer.PublicKey()}, nil
}

// signer opens the private key that a reference names. password is asked for
// only if the key is encrypted. A private key is never fetched from a web
// server. The error is as that of publicKeys.
func (l *keyLoader) signer(ctx context.Context, reference string, password func() ([]byte, error)) (messageSigner, error) {
	scheme, rest, err := splitReference(reference)
	if err != nil {
		return nil, err
	}
	switch scheme {
	case "", "env":
		text, err := l.read(scheme, rest)
		if err != nil {
			return nil, err
		}
		signer, err := parsePrivateKey(text, password)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", signature.Shorten(reference), err)
		}
		return signer, nil
	case "https":
		return nil, fmt.Errorf("%w: a private key is not fetched from a web server: want a file, env://NAME or NAME://KEY", entry.ErrInvalid)
	}
	return l.plugin(ctx, reference)
}

// splitReference returns what stands before and after "://"; a file has no
// scheme. What may be a key itself is not repeated in an error.
func splitReference(reference string) (scheme, rest string, err error) {
	scheme, rest, found := strings.Cut(reference, "://")
	if s := strings.ToLower(scheme); s == "http" || s == "https" {
		scheme = s
	}
	switch {
	case strings.Contains(reference, "-----BEGIN"):
		return "", "", fmt.Errorf("%w: key: want a reference, not the key itself: env://NAME reads it from an environment variable", entry.ErrInvalid)
	case !found:
		return "", reference, nil
	case scheme == "http":
		return "", "", fmt.Errorf("%w: key %s: want https: whoever is on the way could replace a key that is sent in the clear", entry.ErrInvalid, webAddress(reference))
	case scheme == "env" && !variableName.MatchString(rest):
		return "", "", fmt.Errorf("%w: key: want env:// and the name of an environment variable", entry.ErrInvalid)
	}
	return scheme, rest, nil
}

// read returns the text of a file or a variable.
func (l *keyLoader) read(scheme, name string) ([]byte, error) {
	if scheme == "env" {
		if l.lookupEnv == nil {
			return nil, unsupported("env://" + name)
		}
		switch value, set := l.lookupEnv(name); {
		case !set:
			return nil, fmt.Errorf("%w: key env://%s: the environment variable is not set", entry.ErrInvalid, name)
		case value == "":
			return nil, fmt.Errorf("%w: key env://%s: the environment variable is empty", entry.ErrInvalid, name)
		default:
			return []byte(value), nil
		}
	}
	if l.readFile == nil {
		return nil, unsupported(name)
	}
	text, err := l.readFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: key: %w", entry.ErrInvalid, err)
	}
	return text, nil
}

func (l *keyLoader) plugin(ctx context.Context, reference string) (messageSigner, error) {
	if l.lookPath == nil {
		return nil, unsupported(reference)
	}
	return openPlugin(ctx, reference, l.lookPath)
}

func unsupported(reference string) error {
	return fmt.Errorf("%w: key %s: references of this kind are not read here", entry.ErrInvalid, shownReference(reference))
}

// errRedirect is a redirect that is not followed.
var errRedirect = errors.New("redirects elsewhere than to https, or too often")

// fetch reads public keys from a web server.
func (l *keyLoader) fetch(ctx context.Context, reference string) ([]*PublicKey, error) {
	if l.transport == nil {
		return nil, unsupported("https://")
	}
	where := webAddress(reference)
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, reference, nil)
	if err != nil || request.URL.Hostname() == "" {
		return nil, fmt.Errorf("%w: key: want https://HOST/PATH", entry.ErrInvalid)
	}
	client := &http.Client{Transport: l.transport, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		if next.URL.Scheme != "https" || len(before) > maxRedirects {
			return errRedirect
		}
		next.Header.Del("Referer") // the query of an address may be a secret
		return nil
	}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fetchError(ctx, where, err)
	}
	defer response.Body.Close()
	if status := response.StatusCode; status != http.StatusOK {
		kind := entry.ErrInvalid
		if status >= 500 || status == http.StatusTooManyRequests {
			kind = entry.ErrUnreachable
		}
		return nil, fmt.Errorf("%w: key %s: its server answers %d %s", kind, where, status, http.StatusText(status))
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFetchedKeys+1))
	switch {
	case err != nil:
		return nil, fetchError(ctx, where, err)
	case len(text) > maxFetchedKeys:
		return nil, fmt.Errorf("%w: key %s: longer than %d bytes", entry.ErrInvalid, where, maxFetchedKeys)
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("<")):
		return nil, fmt.Errorf("%w: key %s: a web page is there, and no key", entry.ErrInvalid, where)
	}
	return ParsePublicKeys(path.Base(where), text)
}

// fetchError gives a failed request its kind, without the address: it may
// hold a secret.
func fetchError(ctx context.Context, where string, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("key %s: %w: %w", where, entry.ErrTimeout, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("key %s: %w", where, ctx.Err())
	case errors.Is(err, errRedirect):
		return fmt.Errorf("%w: key %s: its server %w", entry.ErrInvalid, where, err)
	}
	return fmt.Errorf("%w: key %s: %w", entry.ErrUnreachable, where, err)
}

// shownReference names a reference without what may be a secret in it: it may be
// a web address whose scheme is mistyped.
func shownReference(reference string) string {
	if strings.ContainsAny(reference, "@?") {
		return strconv.Quote(webAddress(reference))
	}
	return signature.Shorten(reference)
}

// webAddress names a web address without its user, password and query.
func webAddress(reference string) string {
	address, err := url.Parse(reference)
	if err != nil {
		return "that is no address"
	}
	return signature.Printable((&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}).String())
}
