// Package fill makes large catalogs for tests and measurements.
package fill

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

// Catalog publishes count entries, named by Name, as writers do: revision by
// revision, with the snapshots that fall due. The images that they describe do
// not exist. Entries of the target rpi4 are a third of them; all have the tag
// nightly.
func Catalog(ctx context.Context, catalog string, count int) error {
	ref, err := registry.ParseReference(catalog)
	if err != nil {
		return err
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		return err
	}
	repository, err := client.Open(ref)
	if err != nil {
		return err
	}
	log := ocilog.New(repository, catalog, ocilog.Options{})
	at := time.Now().Add(-time.Duration(count) * time.Second)
	const batch = 32
	for from := 0; from < count; from += batch {
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(8)
		for i := from; i < min(from+batch, count); i++ {
			group.Go(func() error {
				packed, err := entry.Pack(Document(i, at.Add(time.Duration(i)*time.Second)), entry.Seen{})
				if err != nil {
					return err
				}
				return log.Append(within, packed, nil)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		view, err := log.Read(ctx)
		if err != nil {
			return err
		}
		if _, err := log.Compact(ctx, view); err != nil {
			return err
		}
	}
	return nil
}

// Name is that of entry i.
func Name(i int) string { return fmt.Sprintf("autosd-%s-%05d", target(i), i) }

func target(i int) string { return []string{"qemu", "rpi4", "ride4"}[i%3] }

// Document is entry i as builds publish it: a bootc container for two
// architectures.
func Document(i int, at time.Time) *entry.Document {
	created := entry.NewTime(at.Add(-time.Hour))
	sum := func(what string) digest.Digest { return digest.FromString(fmt.Sprint(what, i)) }
	return &entry.Document{
		Name: Name(i), Version: fmt.Sprintf("10.%d", i),
		Image: entry.Image{
			Reference: fmt.Sprintf("registry.example.com/automotive/autosd:10.%d", i), Digest: sum("image"),
			MediaType: ocispec.MediaTypeImageIndex, Size: 900,
		},
		Tags: []string{"nightly", fmt.Sprintf("build-%d", i)},
		Metadata: entry.Metadata{
			OS: "linux", Distro: "autosd", DistroVersion: "10", Bootc: true, BuildMode: "bootc",
			Targets: []entry.Target{{Name: target(i), Verified: i%2 == 0}},
		},
		Registry: entry.Observed{CreatedAt: &created, SizeBytes: 2 << 30, LayerCount: 65, Platforms: []entry.Platform{
			{Architecture: "amd64", OS: "linux", Digest: sum("amd64"), SizeBytes: 1 << 30, LayerCount: 65},
			{Architecture: "arm64", OS: "linux", Digest: sum("arm64"), SizeBytes: 1 << 30, LayerCount: 65},
		}},
		Source: entry.Source{Type: entry.SourceManual}, Labels: map[string]string{"team": "platform"},
		PublishedAt: entry.NewTime(at), PublishedBy: "pipeline@ci.example.com",
	}
}
