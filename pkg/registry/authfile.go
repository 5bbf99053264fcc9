package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// maxAuthFile bounds a credentials file, in bytes.
const maxAuthFile = 4 << 20

// authFile is a credentials file: docker's config.json, or podman's auth.json,
// which has the same fields.
type authFile struct {
	path        string
	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"`
	CredsStore  string               `json:"credsStore"`
}

type authEntry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// openAuthFile finds accounts in a credentials file in docker's or podman's format.
// Its keys are host, host/namespace or host/namespace/repository, and the
// longest that fits decides; docker's old keys (https://host/v1/) stand for
// the host. A credential helper or store that the file names for a host is
// asked before the entry of that host. The file is read anew for each login.
// One that does not exist holds nothing, unless it is required.
func openAuthFile(path string, required bool) (keychain, error) {
	if _, err := readAuthFile(path, required); err != nil {
		return nil, err
	}
	return func(ctx context.Context, host, repository string) (Account, error) {
		file, err := readAuthFile(path, required)
		if err != nil {
			return Account{}, err
		}
		return file.find(ctx, host, repository)
	}, nil
}

// readAuthFile never quotes what is in the file: secrets are.
func readAuthFile(path string, required bool) (*authFile, error) {
	file := &authFile{path: path}
	opened, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return file, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: credentials file: %v", entry.ErrInvalid, err)
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, maxAuthFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: credentials file: %v", entry.ErrInvalid, err)
	case len(text) > maxAuthFile:
		return nil, fmt.Errorf("%w: credentials file %s: longer than %d bytes", entry.ErrInvalid, path, maxAuthFile)
	case strings.TrimSpace(string(text)) == "":
		return file, nil
	}
	if err := json.Unmarshal(text, file); err != nil {
		return nil, fmt.Errorf("%w: credentials file %s: not JSON as docker and podman write it", entry.ErrInvalid, path)
	}
	return file, nil
}

// find looks for the longest key: the repository, then each namespace above
// it, then the host. A credential helper that fails is passed over.
func (f *authFile) find(ctx context.Context, host, repository string) (Account, error) {
	host = normal.Host(host)
	for key := host + "/" + repository; key != host; key = key[:strings.LastIndexByte(key, '/')] {
		if account, err := f.entry(key); err != nil || !account.anonymous() {
			return account, err
		}
	}
	var problems []string
	if helper := f.helper(host); helper != "" {
		account, err := askHelper(ctx, helper, host, f.path)
		var failed *helperError
		if errors.As(err, &failed) {
			account, err, problems = Account{}, nil, []string{failed.Error()}
		}
		if err != nil || !account.anonymous() {
			return account, err
		}
	}
	account, err := f.entry(host)
	account.Problems = problems
	return account, err
}

// entry returns the account under a key in normal form: under that very
// spelling if there is one, else under another of it.
func (f *authFile) entry(key string) (Account, error) {
	stored, found := f.Auths[key]
	as := key
	for _, spelling := range slices.Sorted(maps.Keys(f.Auths)) {
		if !found && normalKey(spelling) == key {
			stored, as, found = f.Auths[spelling], spelling, true
		}
	}
	account := Account{
		Username: stored.Username, Password: stored.Password, Source: fmt.Sprintf("%s (%s)", f.path, as),
		IdentityToken: stored.IdentityToken, RegistryToken: stored.RegistryToken,
	}
	if stored.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(stored.Auth)
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return Account{}, fmt.Errorf("%w: credentials file %s: %s: auth is not base64 of user:password", entry.ErrInvalid, f.path, as)
		}
		account.Username, account.Password = user, strings.Trim(password, "\x00")
	}
	if account.anonymous() {
		return Account{}, nil
	}
	return account, nil
}

// helper names the credential helper for a host; "" is none. An empty name for
// a host takes it out of the store.
func (f *authFile) helper(host string) string {
	for _, spelling := range slices.Sorted(maps.Keys(f.CredHelpers)) {
		if normalKey(spelling) == host {
			return f.CredHelpers[spelling]
		}
	}
	return f.CredsStore
}

// plainKey is a key without what old versions of docker wrote around it.
func plainKey(key string) string {
	plain := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	trimmed := strings.TrimSuffix(plain, "/")
	if trimmed == key {
		return key
	}
	return strings.TrimSuffix(strings.TrimSuffix(trimmed, "/v1"), "/v2")
}

// normalKey is a key in the form in which references are compared.
func normalKey(key string) string {
	host, path, found := strings.Cut(plainKey(key), "/")
	if host = normal.Host(host); found {
		return host + "/" + path
	}
	return host
}
