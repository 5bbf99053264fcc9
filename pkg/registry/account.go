package registry

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

// Account is who a repository is asked as. The zero value is nobody: the
// repository is asked anonymously. Printing an account shows no secret.
type Account struct {
	Username string
	Password string `json:"-"`
	// IdentityToken is what the registry's token service gives access tokens
	// for; OAuth2 calls it a refresh token.
	IdentityToken string `json:"-"`
	// RegistryToken is an access token, sent to the registry as it is.
	RegistryToken string `json:"-"`
	// Source says where the account is stored, for messages: a file and its
	// key, a credential helper. It holds no secret.
	Source string
	// Problems are the sources that could not be asked, and why: the account
	// might have been there. They hold no secrets.
	Problems []string `json:"-"`
}

// anonymous reports whether there is nothing to log in with.
func (a Account) anonymous() bool {
	return a.Username == "" && a.Password == "" && a.IdentityToken == "" && a.RegistryToken == ""
}

// String names the account and where it comes from.
func (a Account) String() string {
	switch {
	case a.anonymous():
		return "anonymous"
	case a.Username == "":
		return a.Source
	}
	return a.Username + " from " + a.Source
}

// GoString is String: %#v shows no secret either.
func (a Account) GoString() string { return a.String() }

// keychain is Options.Credentials.
type keychain = func(ctx context.Context, host, repository string) (Account, error)

// firstOf asks several in turn; the first that has an account decides. One
// that fails ends the search: the account might have been there. The problems of
// those that were passed over are the account's.
func firstOf(keychains ...keychain) keychain {
	return func(ctx context.Context, host, repository string) (Account, error) {
		var problems []string
		for _, find := range keychains {
			account, err := find(ctx, host, repository)
			if problems = append(problems, account.Problems...); err != nil || !account.anonymous() {
				account.Problems = problems
				return account, err
			}
		}
		return Account{Problems: problems}, nil
	}
}

// podToken is where a Kubernetes pod finds its service-account token.
const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// maxToken bounds a token file, in bytes.
const maxToken = 64 << 10

// serviceAccount logs in to the given hosts, and to no other, with a Kubernetes
// service-account token, as OpenShift's internal registry wants it. The file,
// podToken if path is "", is read for each login: tokens rotate.
func serviceAccount(path string, hosts ...string) keychain {
	if path == "" {
		path = podToken
	}
	return func(_ context.Context, host, _ string) (Account, error) {
		if !slices.ContainsFunc(hosts, func(named string) bool { return normal.Host(named) == normal.Host(host) }) {
			return Account{}, nil
		}
		file, err := os.Open(path)
		if err != nil {
			return Account{}, fmt.Errorf("%w: service-account token for %s: %v", entry.ErrUnauthorized, host, err)
		}
		defer file.Close()
		text, err := io.ReadAll(io.LimitReader(file, maxToken))
		token := strings.TrimSpace(string(text))
		if err != nil || token == "" {
			return Account{}, fmt.Errorf("%w: service-account token for %s: %s holds none", entry.ErrUnauthorized, host, path)
		}
		return Account{Username: "serviceaccount", Password: token, Source: "service-account token " + path}, nil
	}
}
