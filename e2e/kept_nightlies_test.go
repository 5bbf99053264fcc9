package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A year of builds through one moving tag: whatever the registry cleans up, each
// version can be pulled by its digest, with its platforms, disk and blobs.
func TestNightliesAreKept(t *testing.T) {
	for _, tt := range []struct {
		start func(t testing.TB) registries.Server
		each  bool // cleaned up after each publication, not only at the end
	}{
		{func(t testing.TB) registries.Server { return registries.Distribution3(t, true) }, false},
		{registries.Distribution2, false},
		{registries.Sweeping, true},
	} {
		server := tt.start(t)
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			n := newNightlies(t, server)
			builds := tenth(365)
			for i := range builds {
				n.publish(i)
				if tt.each {
					server.Collect(t)
				}
			}
			server.Collect(t)
			n.wantAll(builds)
		})
	}
}

// nightlies are builds that are published through the same two tags.
type nightlies struct {
	*testing.T
	images, disks registry.Repository
	catalog       *catalog.Catalog
	image, disk   string // references
}

func newNightlies(t *testing.T, server registries.Server) *nightlies {
	t.Helper()
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := &nightlies{T: t, image: server.Host + "/os/autosd:nightly", disk: server.Host + "/os/disk:nightly"}
	n.images, n.disks = n.open(client, n.image), n.open(client, n.disk)
	if n.catalog, err = catalog.Open(server.Host+"/team/catalog", catalog.Options{Registry: client}); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *nightlies) open(client *registry.Client, reference string) registry.Repository {
	n.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		n.Fatal(err)
	}
	repository, err := client.Open(ref)
	if err != nil {
		n.Fatal(err)
	}
	return repository
}

// publish builds and publishes: in turn one platform, two, and one with a disk.
func (n *nightlies) publish(i int) {
	n.Helper()
	version := fmt.Sprint(i)
	build := samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: version,
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, i),
	}
	options := catalog.PublishOptions{Name: "nightly", Version: version, NoAttach: true}
	switch i % 3 {
	case 1:
		build.Architectures = append(build.Architectures, "amd64")
	case 2:
		options.Disk = n.disk
		if _, err := samples.Disk(n.Context(), n.disks, "nightly", build); err != nil {
			n.Fatal(err)
		}
	}
	_, err := samples.Bootc(n.Context(), n.images, "nightly", build)
	if err != nil {
		n.Fatal(err)
	}
	result, err := n.catalog.Publish(n.Context(), n.image, options)
	if err != nil || result.Outcome != catalog.Published || result.Keep.Outcome != catalog.Kept {
		n.Fatalf("publication %d: %s, keep %+v, %v; want published and kept", i, result.Outcome, result.Keep, err)
	}
}

// wantAll pulls every version that was published, and reports how many can be had.
func (n *nightlies) wantAll(builds int) {
	n.Helper()
	page, err := n.catalog.List(n.Context(), catalog.ListOptions{Query: entry.Query{Versions: true}})
	if err != nil || page.Total != builds || len(page.Items) != builds {
		n.Fatalf("%d versions, %v; want %d", page.Total, err, builds)
	}
	had, disks := 0, 0
	for _, item := range page.Items {
		err := n.pull(n.images, item.Digest)
		for _, artifact := range item.ArtifactRefs {
			disks++
			ref, refErr := registry.ParseReference(artifact.URL)
			err = errors.Join(err, refErr, n.pull(n.disks, ref.Digest))
		}
		if err != nil {
			n.Errorf("version %s: %v", item.Version, err)
			continue
		}
		had++
	}
	n.Logf("%d of %d versions can be pulled by digest, %d disks", had, builds, disks)
	if want := builds / 3; disks != want {
		n.Errorf("%d disks, want %d", disks, want)
	}
}

// pull reads a manifest and all that it names.
func (n *nightlies) pull(from registry.Repository, d digest.Digest) error {
	_, body, err := from.Manifest(n.Context(), d.String())
	if err != nil {
		return err
	}
	var content struct {
		Manifests []ocispec.Descriptor
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return err
	}
	for _, child := range content.Manifests {
		if err := n.pull(from, child.Digest); err != nil {
			return err
		}
	}
	if content.Config != nil {
		content.Layers = append(content.Layers, *content.Config)
	}
	for _, layer := range content.Layers {
		if _, err := from.Blob(n.Context(), layer); err != nil {
			return err
		}
	}
	return nil
}
