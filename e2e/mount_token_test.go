package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A token that is for two repositories mounts a blob from one in the other; where an
// account may not read the other one, the blob is sent, as the account reads it that may.
func TestMountsByToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		below string
		moved int64
	}{
		"who may read both":     {"", 0},
		"who may read only one": {"team/", 4},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := registries.NewTokens(t, map[string]registries.User{
				"alice": {Password: alicePassword, May: []string{"pull", "push"}, Below: tt.below},
				"bob":   {Password: bobPassword, May: []string{"pull", "push"}, Below: "lib/"},
			})
			server := httptest.NewServer(tokens.Distribution3(t))
			t.Cleanup(server.Close)
			client, err := registry.New(registry.Options{Credentials: func(_ context.Context, _, repository string) (registry.Account, error) {
				if strings.HasPrefix(repository, "lib/") {
					return registry.Account{Username: "bob", Password: bobPassword}, nil
				}
				return registry.Account{Username: "alice", Password: alicePassword}, nil
			}, Transport: http.DefaultTransport})
			if err != nil {
				t.Fatal(err)
			}
			host := strings.TrimPrefix(server.URL, "http://")
			open := func(name string) registry.Repository {
				repository, err := client.Open(registry.Reference{Registry: host, Repository: name})
				if err != nil {
					t.Fatal(err)
				}
				return repository
			}
			blob := ocispec.Descriptor{MediaType: "application/x", Digest: digest.FromString("blob"), Size: 4}
			from, to := open("lib/base"), open("team/image")
			if err := from.PushBlob(t.Context(), blob, []byte("blob")); err != nil {
				t.Fatal(err)
			}
			if moved, err := to.CopyBlob(t.Context(), blob, from); err != nil || moved != tt.moved {
				t.Errorf("got %d bytes moved, %v, want %d", moved, err, tt.moved)
			}
			if text, err := to.Blob(t.Context(), blob); err != nil || string(text) != "blob" {
				t.Errorf("got %q, %v, want the blob", text, err)
			}
			if asked := tokens.Asked(); !slices.Contains(asked, "alice repository:lib/base:pull repository:team/image:pull,push") {
				t.Errorf("got tokens for %q, want one for both repositories", asked)
			}
		})
	}
}
