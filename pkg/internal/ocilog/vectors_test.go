package ocilog

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/opencontainers/go-digest"
)

func TestVectorsOfSnapshots(t *testing.T) {
	text, err := os.ReadFile("../../../schema/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Snapshots []struct {
			Tag, Manifest string
			Digest        digest.Digest
			Segments      []struct {
				Digest  digest.Digest
				Content []byte
			}
			Hashes  []hashesVector
			Records []string
		}
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, tt := range v.Snapshots {
		tag, ok := revision.ParseTag(tt.Tag)
		if !ok {
			t.Fatal(tt.Tag)
		}
		s, err := parseSnapshot(tag, tt.Digest, []byte(tt.Manifest))
		if err != nil {
			t.Fatal(err)
		}
		var records []string
		for i, segment := range tt.Segments {
			if got := digest.FromBytes(segment.Content); got != segment.Digest || got != s.segments[i].Digest {
				t.Errorf("segment %d: %s", i, got)
			}
			for n, err := range lines(segment.Content, unspent(t)) {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := n.open(); err != nil {
					t.Error(err)
				}
				records = append(records, n.tag.String())
			}
		}
		if diff := cmp.Diff(tt.Records, records); diff != "" {
			t.Error(diff)
		}
		if len(s.hashes) != len(tt.Hashes) {
			t.Errorf("%s: hashes of %d segments, want %d", tag, len(s.hashes), len(tt.Hashes))
		}
		for i, hashes := range tt.Hashes {
			if got := digest.FromBytes(hashes.Content); got != hashes.Digest || s.hashes[hashes.Segment].Digest != got {
				t.Errorf("hashes of %s: %s", hashes.Segment, got)
			}
			if diff := cmp.Diff(hashes.Content, rowsOfSegment(t, tt.Segments[i].Content)); diff != "" {
				t.Errorf("rows of %s: %s", hashes.Segment, diff)
			}
		}
	}
}

type hashesVector struct {
	Segment, Digest digest.Digest
	Content         []byte
}

// rowsOfSegment makes the hashes of a segment, whose references are in normal form.
func rowsOfSegment(t *testing.T, segment []byte) (rows []byte) {
	t.Helper()
	log := newLog(newMemory(), "test", Options{NormalReference: asIs})
	for n, err := range lines(segment, unspent(t)) {
		if err != nil {
			t.Fatal(err)
		}
		o, err := n.open()
		if err != nil {
			t.Fatal(err)
		}
		rows = log.appendRow(rows, n.tag, o)
	}
	return rows
}
