package ocilog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// hashing are the options of readers and writers that use hashes however small the
// segments are.
func hashing() Options { return Options{NormalReference: strings.ToLower, Whole: 1} }

// fillHashed is fill by writers of hashes.
func fillHashed(t testing.TB, target *memory, c *clock, count int) (names []string) {
	t.Helper()
	options := hashing()
	options.Now = c.Now
	log := newLog(target, "fill", options)
	for i := range count {
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("entry-%04d", i))
		if err := log.Append(t.Context(), publication(t, names[i], c.Now(), "1"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Compact(t.Context(), view); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// newestManifest returns the manifest of the newest snapshot.
func newestManifest(t *testing.T, target *memory) (manifest ocispec.Manifest) {
	t.Helper()
	tags := target.snapshots()
	if err := json.Unmarshal(target.manifests[target.tags[tags[len(tags)-1]]], &manifest); err != nil {
		t.Fatal(err)
	}
	return manifest
}

// pushChanged pushes the newest snapshot again with other layers, dated a minute later.
func pushChanged(t *testing.T, target *memory, change func(manifest *ocispec.Manifest)) {
	t.Helper()
	manifest := newestManifest(t, target)
	change(&manifest)
	text, err := json.Marshal(manifest, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	last, _ := revision.ParseTag(target.snapshots()[len(target.snapshots())-1])
	tag := revision.SnapshotTag(entry.NewTime(last.Time().Add(time.Minute)), digest.FromBytes(text))
	if err := target.PushManifest(t.Context(), descriptorOf(text), text, tag.String()); err != nil {
		t.Fatal(err)
	}
}

// rowsIn returns the rows of the newest snapshot.
func rowsIn(t *testing.T, target *memory) (rows []row) {
	t.Helper()
	for _, layer := range newestManifest(t, target).Layers {
		if layer.MediaType == revision.MediaTypeHashes {
			rows = append(rows, sortedRows(target.blobs[layer.Digest])...)
		}
	}
	return rows
}

// Whoever wants one name of a catalog reads the hashes of its snapshot and the name.
func TestReadingOneNameReadsNoSegments(t *testing.T) {
	target, c := newMemory(), &clock{}
	fillHashed(t, target, c, 200)
	layers := newestManifest(t, target).Layers
	for _, tt := range []struct {
		name string
		want map[string]int
	}{
		{"entry-0007", map[string]int{"tags": 1, "manifest": 2, "blob": len(layers) / 2}},
		{"entry-0199", map[string]int{"tags": 1, "manifest": 2, "blob": len(layers) / 2}}, // of the tail
		{"none", map[string]int{"tags": 1, "manifest": 1, "blob": len(layers) / 2}},
	} {
		requests := target.counted(func() {
			view, err := newLog(target, "test", hashing()).Read(t.Context(), tt.name)
			if err != nil {
				t.Fatal(err)
			}
			head, err := view.Head(t.Context(), tt.name, time.Time{})
			if err != nil || (head == nil) != (tt.name == "none") || !view.IsPartial() {
				t.Errorf("%s: head %v, %v, partial %t", tt.name, head, err, view.IsPartial())
			}
		})
		if diff := cmp.Diff(tt.want, requests); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}

// Who publishes from a reference finds every name that was published from it, in the
// snapshot or after it, and reads little else.
func TestHeadsFromAReference(t *testing.T) {
	target, c := newMemory(), &clock{}
	fillHashed(t, target, c, 200)
	for _, tt := range []struct {
		reference string
		want      []string
		manifests int // besides the snapshot and the tail
	}{
		{"registry.example.com/os/entry-0007:1", []string{"entry-0007"}, 1},
		{"REGISTRY.example.com/os/entry-0007:1", []string{"entry-0007"}, 1}, // the same in normal form
		{"registry.example.com/os/entry-0199:1", []string{"entry-0199"}, 0},
		{"registry.example.com/os/other:1", nil, 0},
	} {
		var heads []*revision.Revision
		requests := target.counted(func() {
			view, err := newLog(target, "test", hashing()).Read(t.Context(), "new")
			if err != nil {
				t.Fatal(err)
			}
			if heads, err = view.HeadsFrom(t.Context(), tt.reference); err != nil {
				t.Fatal(err)
			}
		})
		var got []string
		for _, head := range heads {
			got = append(got, head.Tag.Name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", tt.reference, diff)
		}
		if want := 1 + 200%dueTail + tt.manifests; requests["manifest"] != want || requests["blob"] != len(newestManifest(t, target).Layers)/2 {
			t.Errorf("%s: %v, want %d manifests", tt.reference, requests, want)
		}
	}
}

// A view that was read for one name shows all others as well, and reads the segments
// instead of thousands of revisions.
func TestAPartialViewShowsEverything(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fillHashed(t, target, c, 200)
	requests := target.counted(func() {
		view, err := newLog(target, "test", hashing()).Read(t.Context(), "entry-0007")
		if err != nil {
			t.Fatal(err)
		}
		revisions, err := liveOf(t.Context(), view, time.Time{})
		if err != nil || len(revisions) != len(names) {
			t.Errorf("%d of %d entries, %v", len(revisions), len(names), err)
		}
	})
	if requests["manifest"] > 1+dueTail {
		t.Errorf("%v: the revisions were read one by one", requests)
	}
}

// refuseHashes fails the test if somebody fetches hashes.
func refuseHashes(t *testing.T, target *memory) {
	var hashes []string
	for _, layer := range newestManifest(t, target).Layers {
		if layer.MediaType == revision.MediaTypeHashes {
			hashes = append(hashes, layer.Digest.String())
		}
	}
	target.failOn = func(operation, reference string) error {
		if operation == "blob" && slices.Contains(hashes, reference) {
			t.Errorf("hashes were fetched that are too large")
		}
		return nil
	}
}

// uselessHashes are ways to make hashes that readers do without.
var uselessHashes = map[string]func(t *testing.T, target *memory, c *clock){
	"of only one segment": func(t *testing.T, target *memory, _ *clock) {
		pushChanged(t, target, func(m *ocispec.Manifest) { m.Layers = m.Layers[:len(m.Layers)-1] })
	},
	"missing": func(t *testing.T, target *memory, _ *clock) {
		delete(target.blobs, newestManifest(t, target).Layers[1].Digest)
	},
	"of a size that no rows have": func(t *testing.T, target *memory, _ *clock) {
		pushChanged(t, target, func(m *ocispec.Manifest) { m.Layers[1].Size-- })
		refuseHashes(t, target)
	},
	"larger than readers take": func(t *testing.T, target *memory, _ *clock) {
		pushChanged(t, target, func(m *ocispec.Manifest) { m.Layers[1].Size = (maxRows + 1) * rowSize })
		refuseHashes(t, target)
	},
	"together larger than readers take": func(t *testing.T, target *memory, _ *clock) {
		defer refuseHashes(t, target)
		pushChanged(t, target, func(m *ocispec.Manifest) {
			for i := 1; i < len(m.Layers); i += 2 {
				m.Layers[i].Size = (maxRows/2 + 1) * rowSize
			}
		})
	},
	"of another size than they say": func(t *testing.T, target *memory, _ *clock) {
		pushChanged(t, target, func(m *ocispec.Manifest) { m.Layers[1].Size -= rowSize })
	},
	"of no segment": func(t *testing.T, target *memory, _ *clock) {
		pushChanged(t, target, func(m *ocispec.Manifest) { m.Layers[1].Annotations = nil })
	},
	"with records of what is not listed": func(t *testing.T, target *memory, _ *clock) {
		target.hide = func(tag string) bool { return strings.HasPrefix(tag, "entry-0009.") }
	},
	"without what is listed from long before": func(t *testing.T, target *memory, c *clock) {
		log := newLog(target, "writer", Options{})
		appendAll(t, log, publication(t, "entry-0011", epoch.Add(-2*time.Hour), "0"))
	},
	"without much of what is listed": func(t *testing.T, target *memory, c *clock) {
		log := newLog(target, "writer", Options{})
		for range maxDirect {
			appendAll(t, log, publication(t, "entry-0011", c.Now(), "2"))
		}
	},
}

// What hashes cannot say is read in the segments, and what is wrong with them changes no
// answer about a name.
func TestHashesThatAreOfNoUse(t *testing.T) {
	for name, spoil := range uselessHashes {
		t.Run(name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			fillHashed(t, target, c, 100)
			if len(newestManifest(t, target).Layers) != 4 {
				t.Fatalf("%d layers, want two segments with hashes", len(newestManifest(t, target).Layers))
			}
			spoil(t, target, c)
			view, err := newLog(target, "test", hashing()).Read(t.Context(), "entry-0009")
			if err != nil {
				t.Fatal(err)
			}
			head, err := view.Head(t.Context(), "entry-0009", time.Time{})
			if err != nil || head == nil || view.IsPartial() {
				t.Errorf("head %v, %v, partial %t", head, err, view.IsPartial())
			}
			heads, err := view.HeadsFrom(t.Context(), "registry.example.com/os/entry-0009:1")
			if err != nil || !slices.ContainsFunc(heads, func(head *revision.Revision) bool { return head.Tag.Name == "entry-0009" }) {
				t.Errorf("%d heads, %v, and entry-0009 is not among them", len(heads), err)
			}
		})
	}
}

// forgeRows changes the hashes of the first segment.
func forgeRows(change func(rows []byte) []byte) func(*testing.T, *memory) {
	return func(t *testing.T, target *memory) {
		pushChanged(t, target, func(m *ocispec.Manifest) {
			rows := change(slices.Clone(target.blobs[m.Layers[1].Digest]))
			m.Layers[1].Digest, m.Layers[1].Size = digest.FromBytes(rows), int64(len(rows))
			target.blobs[m.Layers[1].Digest] = rows
		})
	}
}

// falseHashes are ways to make hashes that are not those of their segments.
var falseHashes = map[string]func(*testing.T, *memory){
	"none": func(t *testing.T, target *memory) {
		pushChanged(t, target, func(m *ocispec.Manifest) {
			m.Layers = slices.DeleteFunc(m.Layers, func(d ocispec.Descriptor) bool { return d.MediaType == revision.MediaTypeHashes })
		})
	},
	"missing": func(t *testing.T, target *memory) {
		delete(target.blobs, newestManifest(t, target).Layers[1].Digest)
	},
	"other references": forgeRows(func(rows []byte) []byte { rows[4]++; return rows }),
	"other tags":       forgeRows(func(rows []byte) []byte { rows[0]++; return rows }),
	"too few":          forgeRows(func(rows []byte) []byte { return rows[rowSize:] }),
	"too many": forgeRows(func(rows []byte) []byte {
		return binary.BigEndian.AppendUint64(rows, 7)
	}),
	"in order": func(*testing.T, *memory) {},
}

// The next snapshot has the hashes of its records, whatever the one before said of them.
func TestTheNextSnapshotMendsHashes(t *testing.T) {
	for name, spoil := range falseHashes {
		t.Run(name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			fillHashed(t, target, c, 128)
			want := map[row]bool{}
			log := newLog(target, "rows", hashing())
			note := func(packed *revision.Packed) {
				r, err := revision.Unpack(packed.Tag, packed.Manifest)
				if err != nil {
					t.Fatal(err)
				}
				want[log.rowOf(r)] = true
			}
			view, err := log.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all, err := view.History(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				want[log.rowOf(r)] = true
			}
			spoil(t, target)
			c.now = epoch.Add(2 * time.Hour)
			options := hashing()
			options.Now = c.Now
			writer := newLog(target, "writer", options)
			for i := range dueTail {
				packed := publication(t, fmt.Sprintf("more-%04d", i), c.Now(), "1")
				note(packed)
				appendAll(t, writer, packed)
			}
			if view, err = writer.Read(t.Context()); err == nil {
				_, err = view.Heads(t.Context(), time.Time{})
			}
			if err != nil {
				t.Fatal(err)
			}
			if wrote, err := writer.Compact(t.Context(), view); !wrote || err != nil {
				t.Fatalf("wrote a snapshot: %t, %v", wrote, err)
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(slices.Values(rowsIn(t, target)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A writer who read no segments reads them when a snapshot is due, and not before.
func TestAColdWriterWritesTheSnapshotThatIsDue(t *testing.T) {
	target, c := newMemory(), &clock{}
	fillHashed(t, target, c, 128)
	options := hashing()
	options.Now = c.Now
	for i := 1; i <= dueTail; i++ {
		target.requests = map[string]int{}
		log := newLog(target, "writer", options)
		name := fmt.Sprintf("more-%04d", i)
		view, err := log.Read(t.Context(), name)
		if err != nil || !view.IsPartial() {
			t.Fatalf("%v: want a view of hashes", err)
		}
		appendAll(t, log, publication(t, name, c.Now(), "1"))
		if wrote, err := log.Compact(t.Context(), view); err != nil || wrote != (i == dueTail) {
			t.Fatalf("wrote a snapshot after %d publications: %t, %v", i, wrote, err)
		}
		if layers := len(newestManifest(t, target).Layers); i < dueTail && target.requests["blob"] != layers/2 {
			t.Errorf("publication %d: %v, want the hashes of %d segments alone", i, target.requests, layers/2)
		}
	}
	if n := len(rowsIn(t, target)); n != 128+dueTail {
		t.Errorf("the snapshot covers %d revisions, want %d", n, 128+dueTail)
	}
}

// The signatures that only a snapshot carries are found by who read its hashes, of the
// first revision and of another one.
func TestSignaturesBehindHashes(t *testing.T) {
	target, c := newMemory(), &clock{}
	fillHashed(t, target, c, 31)
	options := hashing()
	options.Now = c.Now
	writer := newLog(target, "writer", options)
	for _, name := range []string{"signed-a", "signed-b"} {
		packed := publication(t, name, c.Now(), "1")
		appendAll(t, writer, packed)
		writer.AddSignatures(t.Context(), packed.Tag, []byte(`{"of":"`+name+`"}`))
	}
	view, err := writer.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := writer.Compact(t.Context(), view); !wrote || err != nil {
		t.Fatalf("wrote a snapshot: %t, %v", wrote, err)
	}
	options = hashing()
	options.Signatures = true
	log := newLog(target, "test", options)
	for _, name := range []string{"signed-a", "signed-b"} {
		view, err := log.Read(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		head, err := view.Head(t.Context(), name, time.Time{})
		if err != nil || head == nil {
			t.Fatalf("%s: %v, %v", name, head, err)
		}
		if got := log.ReadSignatures(t.Context(), head.Tag); len(got) != 1 || string(got[0]) != `{"of":"`+name+`"}` {
			t.Errorf("%s: signatures %s", name, got)
		}
	}
}
