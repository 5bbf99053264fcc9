package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// segment compresses what a snapshot's segment says. It keeps its first error
// for close.
type segment struct {
	blob bytes.Buffer
	zstd *zstd.Encoder
	err  error
}

func newSegment() *segment {
	s := &segment{}
	s.zstd, s.err = zstd.NewWriter(&s.blob, zstd.WithWindowSize(1<<20))
	return s
}

func (s *segment) write(text []byte) {
	if s.err == nil {
		_, s.err = s.zstd.Write(text)
	}
}

// record writes a record, and more of its members as they are.
func (s *segment) record(tag revision.Tag, manifest []byte, more string) {
	text, err := json.Marshal(string(manifest))
	if s.err == nil {
		s.err = err
	}
	s.write(fmt.Appendf(nil, "{\"tag\":%q,\"manifest\":%s%s}\n", tag, text, more))
}

func (s *segment) close() ([]byte, error) {
	if s.err == nil {
		s.err = s.zstd.Close()
	}
	return s.blob.Bytes(), s.err
}

// pushSnapshot pushes a snapshot that is dated an hour ahead, and more.
func (c *catalog) pushSnapshot(ctx context.Context, more time.Duration, segments ...[]byte) error {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: revision.MediaTypeSnapshot, Config: ocispec.DescriptorEmptyJSON,
		Annotations: map[string]string{"ahead": more.String()},
	}
	for _, blob := range segments {
		d := ocispec.Descriptor{MediaType: revision.MediaTypeSegment, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
		if err := c.repository.PushBlob(ctx, d, blob); err != nil {
			return err
		}
		manifest.Layers = append(manifest.Layers, d)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	d := describe(text)
	tag := revision.SnapshotTag(entry.NewTime(time.Now().Add(time.Hour+more)), d.Digest)
	return c.repository.PushManifest(ctx, d, text, tag.String())
}

func describe(manifest []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
}
