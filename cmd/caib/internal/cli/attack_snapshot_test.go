package cli

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// record is a line of a segment.
func record(r revision, signatures ...[]byte) []byte {
	values := make([]jsontext.Value, len(signatures))
	for i, signature := range signatures {
		values[i] = jsontext.Value(signature)
	}
	text, _ := json.Marshal(struct { // cannot fail: signatures are JSON
		Tag        string           `json:"tag"`
		Manifest   string           `json:"manifest"`
		Signatures []jsontext.Value `json:"signatures,omitempty"`
	}{r.tag, string(r.manifest), values})
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
	segment := ocispec.Descriptor{MediaType: entry.MediaTypeSegment, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
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
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": entry.MediaTypeSnapshot,
		"config": config, "layers": segments,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	tag := entry.SnapshotTag(entry.NewTime(at), digest.FromBytes(manifest)).String()
	v.push(v.to, revision{tag, manifest})
	return tag
}
