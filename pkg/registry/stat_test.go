package registry

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestStatBlob(t *testing.T) {
	layout := newLayout(filepath.Join(t.TempDir(), "layout"))
	for name, repository := range map[string]Repository{"registry": open(t, inProcess(t, true), quick()), "layout": layout} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			blob := describe("application/x", []byte("blob"))
			if err := repository.StatBlob(ctx, blob); kind(err) != "not found" {
				t.Errorf("a blob that is not there: %v", err)
			}
			if err := repository.PushBlob(ctx, blob, []byte("blob")); err != nil {
				t.Fatal(err)
			}
			if err := repository.StatBlob(ctx, blob); err != nil {
				t.Error(err)
			}
			lie := blob
			lie.Size = 1 << 40
			if err := repository.StatBlob(ctx, lie); kind(err) != "malformed" || !strings.Contains(err.Error(), "4 bytes, where its manifest says 1099511627776") {
				t.Errorf("another size: %v", err)
			}
			if err := repository.StatBlob(ctx, ocispec.Descriptor{Digest: "sha256:../x", Size: 4}); kind(err) == "" {
				t.Error("a digest that is none is found")
			}
		})
	}
}

// That a registry could not be asked says nothing about the blob, and no more of
// its content is asked for than a byte.
func TestStatBlobOnlyLooks(t *testing.T) {
	blob := describe("application/x", []byte("blob"))
	for status, want := range map[int]string{401: "unauthorized", 403: "unauthorized", 429: "unreachable", 500: "unreachable", 404: "not found"} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.Header.Get("Range") != "bytes=0-0" {
				t.Errorf("%d: all of the blob is asked for", status)
			}
			w.WriteHeader(status)
		})
		if err := open(t, s.host, quick()).StatBlob(t.Context(), blob); kind(err) != want {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}
