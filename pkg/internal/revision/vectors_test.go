package revision_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

type vectors struct {
	Tags []struct {
		Tag, Name, Time, Operation, Hash string
		Valid                            bool
		Millis                           int64
	}
	NextTime []struct {
		Now, Name, Next string
		Tags            []string
	}
	Architectures []struct{ Given, Stored string }
	Entries       []packedVector[revision.Document]
	Removals      []packedVector[revision.Removal]
	Rewrites      []struct {
		packedVector[revision.Document]
		Old   string
		Bases []string // of an edit
	}
	Attachments []struct {
		Subject                    ocispec.Descriptor
		Revision, Manifest, Digest string
		Catalog                    string // in normal form; "" is not said
	}
	Locations []struct {
		What, At, Layer, Tag, Manifest, Digest string
		Valid                                  bool
		Locations                              []revision.Location
	}
	Revisions []struct{ What, Tag, Manifest, Verdict string }
	Replays   []struct {
		Listed    []string
		Manifests []struct{ Tag, Manifest string }
		Order     []string
		States    []struct {
			AsOf        string
			Live, Later map[string]string
		}
	}
}

type packedVector[T any] struct {
	Document                         T
	Canonical, Manifest, Digest, Tag string
	Seen                             struct { // zero: the writer says nothing of it
		Revisions int
		Catalog   string // in normal form
	}
}

func (v packedVector[T]) seen() revision.Seen {
	if v.Seen.Revisions == 0 {
		return revision.Seen{}
	}
	return revision.Seen{Revisions: v.Seen.Revisions, Catalog: revision.CatalogHash(v.Seen.Catalog)}
}

func (v packedVector[T]) check(t *testing.T, packed *revision.Packed, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{string(packed.Blobs[1].Content), string(packed.Manifest), packed.Descriptor.Digest.String(), packed.Tag.String()}
	if diff := cmp.Diff([]string{v.Canonical, v.Manifest, v.Digest, v.Tag}, got); diff != "" {
		t.Error(diff)
	}
	rev, err := revision.Unpack(packed.Tag, packed.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	if rev.Seen != v.seen() || rev.Catalog() != v.Seen.Catalog {
		t.Errorf("read back: saw %v of %q, want %v of %q", rev.Seen, rev.Catalog(), v.seen(), v.Seen.Catalog)
	}
	if text, err := revision.DocumentText(packed.Manifest); err != nil || string(text) != v.Canonical {
		t.Errorf("%s, %v; want %s", text, err, v.Canonical)
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("../../../schema/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	for _, tt := range v.Tags {
		tag, ok := revision.ParseTag(tt.Tag)
		if ok != tt.Valid {
			t.Errorf("%s: of the log: %t", tt.Tag, ok)
		}
		want := revision.Tag{Name: tt.Name, Millis: tt.Millis, Hash: tt.Hash}
		if ok {
			want.Op = tag.Op
			if tag != want || tag.String() != tt.Tag || tag.Time().String() != tt.Time || tag.Op.String() != tt.Operation {
				t.Errorf("%s: %+v, want %+v", tt.Tag, tag, tt)
			}
		}
	}
	for _, tt := range v.NextTime {
		now, err := time.Parse(time.RFC3339Nano, tt.Now)
		if err != nil {
			t.Fatal(err)
		}
		visible, _ := revision.ParseTags(tt.Tags)
		if got := revision.NextTime(now, tt.Name, visible).String(); got != tt.Next {
			t.Errorf("%s: %s, want %s", tt.Now, got, tt.Next)
		}
	}
	for _, tt := range v.Architectures {
		if got := entry.Architecture(tt.Given); got != tt.Stored {
			t.Errorf("%s: %s, want %s", tt.Given, got, tt.Stored)
		}
	}
	for _, tt := range v.Entries {
		packed, err := revision.Pack(&tt.Document, tt.seen())
		tt.check(t, packed, err)
	}
	for _, tt := range v.Removals {
		packed, err := revision.PackRemoval(&tt.Document, tt.seen())
		tt.check(t, packed, err)
	}
	for _, tt := range v.Rewrites {
		packed, err := revision.PackEdit(&tt.Document, []byte(tt.Old), tt.seen(), tt.Bases)
		tt.check(t, packed, err)
		if rev, err := revision.Unpack(packed.Tag, packed.Manifest); err != nil || !slices.Equal(rev.Bases, tt.Bases) {
			t.Errorf("%s: bases %v, %v; want %v", tt.Tag, rev.Bases, err, tt.Bases)
		}
	}
	for _, tt := range v.Attachments {
		packed, err := revision.PackAttachment([]byte(tt.Revision), tt.Catalog, tt.Subject)
		if err != nil || string(packed.Manifest) != tt.Manifest || packed.Descriptor.Digest.String() != tt.Digest {
			t.Errorf("attachment: %v, %+v", err, packed)
		}
		back, err := revision.UnpackAttachment([]byte(tt.Manifest))
		if err != nil || !bytes.Equal(back, []byte(tt.Revision)) {
			t.Errorf("attachment: %v, %s", err, back)
		}
	}
}

func TestVectorsOfLocations(t *testing.T) {
	all := readVectors(t).Locations
	if len(all) == 0 {
		t.Fatal("there are none")
	}
	for _, tt := range all {
		tags := revision.ParseLocationsTags([]string{tt.Tag})
		if len(tags) != 1 || tags[0].String() != tt.Tag {
			t.Fatalf("%s: the tag %s is read as %v", tt.What, tt.Tag, tags)
		}
		read, err := revision.UnpackLocations(tags[0], []byte(tt.Manifest))
		if !tt.Valid {
			if !errors.Is(err, entry.ErrMalformed) {
				t.Errorf("%s: %+v, %v; want an ErrMalformed", tt.What, read, err)
			}
			continue
		}
		if diff := cmp.Diff(revision.MergeLocations(tt.Locations), read); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", tt.What, err, diff)
		}
		var at entry.Time
		if err := at.UnmarshalText([]byte(tt.At)); err != nil {
			t.Fatal(err)
		}
		packed, err := revision.PackLocations(tt.Locations, at)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{string(packed.Blobs[1].Content), string(packed.Manifest), packed.Descriptor.Digest.String(), packed.Tag.String()}
		if diff := cmp.Diff([]string{tt.Layer, tt.Manifest, tt.Digest, tt.Tag}, got); diff != "" {
			t.Errorf("%s: %s", tt.What, diff)
		}
	}
}

func TestVectorsOfRevisions(t *testing.T) {
	for _, tt := range readVectors(t).Revisions {
		t.Run(tt.What, func(t *testing.T) {
			tag, ok := revision.ParseTag(tt.Tag)
			if !ok {
				t.Fatal(tt.Tag)
			}
			revision, err := revision.Unpack(tag, []byte(tt.Manifest))
			got := "valid"
			switch {
			case errors.Is(err, entry.ErrMalformed):
				got = "invalid"
			case err != nil:
				t.Fatal(err)
			case revision.Later != "":
				got = "later"
			}
			if got != tt.Verdict {
				t.Errorf("%s, want %s: %v", got, tt.Verdict, err)
			}
		})
	}
}

func TestVectorsOfReplays(t *testing.T) {
	for _, tt := range readVectors(t).Replays {
		manifests := map[string]string{}
		for _, m := range tt.Manifests {
			manifests[m.Tag] = m.Manifest
		}
		tags, _ := revision.ParseTags(tt.Listed)
		var order []string
		for _, tag := range tags {
			order = append(order, tag.String())
		}
		if diff := cmp.Diff(tt.Order, order); diff != "" {
			t.Error(diff)
		}
		for _, state := range tt.States {
			var asOf time.Time
			if state.AsOf != "" {
				var err error
				if asOf, err = time.Parse(time.RFC3339Nano, state.AsOf); err != nil {
					t.Fatal(err)
				}
			}
			replay := revision.NewReplay(tags, asOf)
			for want := replay.Undecided(); len(want) > 0; want = replay.Undecided() {
				found := map[revision.Tag]*revision.Revision{}
				for _, tag := range want {
					if revision, err := revision.Unpack(tag, []byte(manifests[tag.String()])); err == nil {
						found[tag] = revision
					}
				}
				replay.Decide(found)
			}
			live, later := map[string]string{}, map[string]string{}
			for _, head := range replay.Heads() {
				switch {
				case head.Live():
					live[head.Tag.Name] = head.Tag.String()
				case head.Tag.Op == revision.OpPublish:
					later[head.Tag.Name] = head.Tag.String()
				}
			}
			if diff := cmp.Diff([]map[string]string{state.Live, state.Later}, []map[string]string{live, later}); diff != "" {
				t.Errorf("as of %q: %s", state.AsOf, diff)
			}
		}
	}
}
