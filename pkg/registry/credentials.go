package registry

import (
	"fmt"
	"os"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/oci-catalog/caib/pkg/entry"
)

// DockerConfig returns the credentials of a docker configuration file: its
// credential helpers, its credentials store, then the file itself. A file that
// does not exist holds none, unless it is required.
func DockerConfig(path string, required bool) (auth.CredentialFunc, error) {
	if _, err := os.Stat(path); err != nil && (required || !os.IsNotExist(err)) {
		return nil, fmt.Errorf("%w: credentials file: %v", entry.ErrInvalid, err)
	}
	store, err := credentials.NewStore(path, credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: credentials file: %v", entry.ErrInvalid, err)
	}
	return credentials.Credential(store), nil
}
