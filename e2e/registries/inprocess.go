package registries

import (
	"io"
	"log"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// GGCR starts go-containerregistry's in-process registry.
func GGCR(t testing.TB, referrers bool) Server {
	t.Helper()
	name := "ggcr"
	if !referrers {
		name += "-noreferrers"
	}
	quiet := ggcr.Logger(log.New(io.Discard, "", 0))
	return serve(t, Server{Name: name, Referrers: referrers, Delete: true}, ggcr.New(ggcr.WithReferrersSupport(referrers), quiet))
}

// OCIMem starts the in-memory registry of cuelabs.dev/go/oci/ociregistry, which
// is strict about the specification.
func OCIMem(t testing.TB) Server {
	t.Helper()
	return serve(t, Server{Name: "ocimem", Referrers: true, Delete: true}, ociserver.New(ocimem.New(), nil))
}
