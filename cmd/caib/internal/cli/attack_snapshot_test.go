package cli

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// record is a line of a segment.
func record(r crafted, signatures ...json.RawMessage) []byte {
	text, _ := json.Marshal(struct { // cannot fail: signatures are JSON
		Tag        string            `json:"tag"`
		Manifest   string            `json:"manifest"`
		Signatures []json.RawMessage `json:"signatures,omitempty"`
	}{r.tag, string(r.manifest), signatures})
	return text
}

// pushSnapshot writes a snapshot of one segment with these records, and returns
// its tag.
func (v *victim) pushSnapshot(at time.Time, records ...[]byte) string {
	v.t.Helper()
	writer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10))
	if err != nil {
		v.t.Fatal(err)
	}
	defer writer.Close()
	blob := writer.EncodeAll(append(bytes.Join(records, []byte("\n")), '\n'), nil)
	segment := ocispec.Descriptor{MediaType: typeSegment, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	if err := v.to.PushBlob(v.t.Context(), segment, blob); err != nil {
		v.t.Fatal(err)
	}
	return v.pushSnapshotOf(at, segment)
}

// pushSnapshotOf writes a snapshot's manifest, and returns its tag.
func (v *victim) pushSnapshotOf(at time.Time, segments ...ocispec.Descriptor) string {
	v.t.Helper()
	config := ocispec.DescriptorEmptyJSON
	config.Data = nil
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": typeSnapshot,
		"config": config, "layers": segments,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	tag := tagOf("_snapshot", at, 's', digest.FromBytes(manifest))
	v.push(v.to, crafted{tag, manifest})
	return tag
}
