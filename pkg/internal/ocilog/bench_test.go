package ocilog

import (
	"context"
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// BenchmarkColdRead reads a catalog of 1,000 entries without any cache.
func BenchmarkColdRead(b *testing.B) {
	target, c := newMemory(), &clock{}
	fill(b, target, c, 1000)
	for b.Loop() {
		if names, _ := live(b, newLog(target, "bench", Options{})); len(names) != 1000 {
			b.Fatal(len(names))
		}
	}
}

// weighed counts the bytes of snapshots that cross the wire.
type weighed struct {
	*memory
	up, down int64
}

func isOfSnapshot(d ocispec.Descriptor) bool {
	return d.MediaType == revision.MediaTypeSegment || d.MediaType == revision.MediaTypeHashes
}

func (w *weighed) PushBlob(ctx context.Context, d ocispec.Descriptor, content []byte) error {
	if isOfSnapshot(d) {
		w.up += d.Size
	}
	return w.memory.PushBlob(ctx, d, content)
}

func (w *weighed) Blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if isOfSnapshot(d) {
		w.down += d.Size
	}
	return w.memory.Blob(ctx, d)
}

// BenchmarkSnapshots measures what snapshots cost a revision: what their writers upload,
// and what a reader downloads that reads after each of them.
//
//	go test ./pkg/internal/ocilog -run '^$' -bench Snapshots -benchtime 1x
func BenchmarkSnapshots(b *testing.B) {
	for _, size := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			target, c, cache := &weighed{memory: newMemory()}, &clock{}, NewCache(b.TempDir(), 0)
			for b.Loop() {
				writer := newLog(target, "writer", Options{Now: c.Now, NormalReference: asIs, Cache: NewCache(b.TempDir(), 0)})
				reader := newLog(target, "reader", Options{Cache: cache})
				for i := range size {
					appendAll(b, writer, publication(b, fmt.Sprintf("entry-%05d", i), c.Now(), "1"))
					if i%dueTail != dueTail-1 {
						continue
					}
					view, err := writer.Read(b.Context())
					if err == nil {
						_, err = writer.Compact(b.Context(), view)
					}
					if err == nil {
						_, err = reader.Read(b.Context())
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(target.up)/float64(size), "B-up/revision")
			b.ReportMetric(float64(target.down)/float64(size), "B-down/revision")
		})
	}
}
