package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// batch is how many entries are published before a snapshot may fall due.
const batch = 32

// publish publishes count entries as writers do: revision by revision, with the
// snapshots that fall due. With signatures there are more, up to the next snapshot
// that covers them all. It returns how many there are.
func (c *catalog) publish(ctx context.Context, count int, sign signing) (published int, err error) {
	if count == 0 {
		return 0, nil
	}
	begin := time.Now().Add(-time.Duration(count+batch) * time.Second)
	for covered := false; published < count || sign != nil && !covered; {
		size := batch
		if sign == nil {
			size = min(batch, count-published)
		}
		if err := c.publishBatch(ctx, published, published+size, begin, sign); err != nil {
			return published, err
		}
		published += size
		if covered, err = c.compact(ctx); err != nil {
			return published, err
		}
	}
	return published, nil
}

// publishBatch publishes the entries from one number to before another, a second
// apart.
func (c *catalog) publishBatch(ctx context.Context, from, to int, begin time.Time, sign signing) error {
	var lock sync.Mutex
	signatures := map[revision.Tag][][]byte{}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := from; i < to; i++ {
		group.Go(func() error {
			d := document(i, begin.Add(time.Duration(i)*time.Second))
			if c.names > 0 {
				d.Name = name(i % c.names)
			}
			packed, err := revision.Pack(d, revision.Seen{})
			if err != nil {
				return err
			}
			if err := c.log.Append(within, packed, nil); err != nil || sign == nil {
				return err
			}
			signature, err := sign(packed.Descriptor.Digest)
			lock.Lock()
			defer lock.Unlock()
			signatures[packed.Tag] = [][]byte{signature}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.log.AddAllSignatures(ctx, signatures) // the next snapshot carries them
	return nil
}

// compact writes a snapshot if one falls due, and reports whether it did.
func (c *catalog) compact(ctx context.Context) (bool, error) {
	view, err := c.log.Read(ctx)
	if err != nil {
		return false, err
	}
	return c.log.Compact(ctx, view)
}

// append publishes one entry.
func (c *catalog) append(ctx context.Context, d *revision.Document) error {
	packed, err := revision.Pack(d, revision.Seen{})
	if err != nil {
		return err
	}
	return c.log.Append(ctx, packed, nil)
}

func name(i int) string { return fmt.Sprintf("autosd-%s-%05d", target(i), i) }

func target(i int) string { return []string{"qemu", "rpi4", "ride4"}[i%3] }

// document is entry i as builds publish it: a bootc container for two
// architectures, which does not exist. A third of all entries are for the target
// rpi4; all have the tag nightly.
func document(i int, at time.Time) *revision.Document {
	created := entry.NewTime(at.Add(-time.Hour))
	sum := func(what string) digest.Digest { return digest.FromString(fmt.Sprint(what, i)) }
	return &revision.Document{
		Name: name(i), Version: fmt.Sprintf("10.%d", i),
		Image: revision.Image{
			Reference: fmt.Sprintf("registry.example.com/automotive/autosd:10.%d", i), Digest: sum("image"),
			MediaType: ocispec.MediaTypeImageIndex, Size: 900,
		},
		Tags: []string{"nightly", fmt.Sprintf("build-%d", i)},
		Metadata: entry.Metadata{
			OS: "linux", Distro: "autosd", DistroVersion: "10", Bootc: true, BuildMode: "bootc",
			Targets: []entry.Target{{Name: target(i), Verified: i%2 == 0}},
		},
		Registry: revision.Observed{CreatedAt: &created, SizeBytes: 2 << 30, LayerCount: 65, Platforms: []entry.Platform{
			{Architecture: "amd64", OS: "linux", Digest: sum("amd64"), SizeBytes: 1 << 30, LayerCount: 65},
			{Architecture: "arm64", OS: "linux", Digest: sum("arm64"), SizeBytes: 1 << 30, LayerCount: 65},
		}},
		Source: entry.Source{Type: entry.SourceManual}, Labels: map[string]string{"team": "platform"},
		PublishedAt: entry.NewTime(at), PublishedBy: "pipeline@ci.example.com",
	}
}
