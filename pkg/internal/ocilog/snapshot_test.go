package ocilog

import (
	"bytes"
	"errors"
	"fmt"
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

func descriptorOf(manifest []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		counts []int
		tail   int
		want   []part
	}{
		{"the first", nil, 32, []part{{[]int{newTail}, 32}}},
		{"beside a large one", []int{1000}, 125, []part{{[]int{0}, 1000}, {[]int{newTail}, 125}}},
		{"equal ones merge", []int{32}, 32, []part{{[]int{0, newTail}, 64}}},
		{"never more than eight", []int{8192, 4096, 2048, 1024, 512, 256, 128, 64}, 32, []part{{[]int{0, 1, 2, 3, 4, 5, 6, 7, newTail}, 16352}}},
		{"merging cascades", []int{200, 64, 32}, 32, []part{{[]int{0, 1, 2, newTail}, 328}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := plan(tt.counts, tt.tail)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(part{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanKeepsFewSegmentsAndRewritesLittle(t *testing.T) {
	var counts []int
	covered, written := 0, 0
	for covered < 100_000 {
		parts := plan(counts, dueTail)
		counts = nil
		for _, p := range parts {
			counts = append(counts, p.count)
			if len(p.sources) > 1 || p.sources[0] == newTail {
				written += p.count
			}
		}
		covered += dueTail
		if len(parts) > writeSegments {
			t.Fatalf("%d segments at %d records, want at most %d", len(parts), covered, writeSegments)
		}
	}
	if written > 8*covered {
		t.Errorf("%d records written for %d, want at most 8 times as many", written, covered)
	}
}

func TestReadingCostsWhatTheDesignSays(t *testing.T) {
	for _, count := range []int{10, 31, 32, 33, 200, 363, 500} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			target, c := newMemory(), &clock{}
			names := fill(t, target, c, count)
			cache := NewCache(t.TempDir(), 0)
			log := newLog(target, "test", Options{Cache: cache})
			var got []string
			cold := target.counted(func() { got, _ = live(t, log) })
			if diff := cmp.Diff(names, got); diff != "" {
				t.Fatal(diff)
			}
			manifests := cold["manifest"] // one for the snapshot, the others for the tail
			if cold["tags"] != 1 || cold["blob"] > writeSegments || manifests > 1+dueTail || cold["resolve"] != 0 {
				t.Errorf("cold: %v", cold)
			}
			want := map[string]int{"tags": 1}
			if warm := target.counted(func() { live(t, log) }); !cmp.Equal(warm, want) {
				t.Errorf("warm in the same process: %v, want %v", warm, want)
			}
			again := newLog(target, "test", Options{Cache: cache})
			warm := target.counted(func() { got, _ = live(t, again) })
			if diff := cmp.Diff(names, got); diff != "" || !cmp.Equal(warm, want) {
				t.Errorf("warm in another process: %v, want %v\n%s", warm, want, diff)
			}
		})
	}
}

// spoil makes something of a snapshot unbelievable, one way a name.
var spoil = map[string]func(t *testing.T, target *memory, segments []ocispec.Descriptor){
	"manifest missing": func(t *testing.T, target *memory, _ []ocispec.Descriptor) {
		delete(target.manifests, target.tags[target.snapshots()[len(target.snapshots())-1]])
	},
	"segment missing": func(t *testing.T, target *memory, segments []ocispec.Descriptor) {
		delete(target.blobs, segments[0].Digest)
	},
	"segment cut short": func(t *testing.T, target *memory, _ []ocispec.Descriptor) {
		target.alter = func(operation, _ string, body []byte) []byte {
			if operation == "blob" {
				return body[:len(body)/2]
			}
			return body
		}
	},
	"forged: a later snapshot with other words": func(t *testing.T, target *memory, segments []ocispec.Descriptor) {
		pushForged(t, target, segments, func(n line) []line { return []line{forge(t, n)} })
	},
	"forged: records under other tags": func(t *testing.T, target *memory, segments []ocispec.Descriptor) {
		lie := func(n line) []line {
			moved := n.tag
			moved.Millis += 1000
			n.text = bytes.Replace(n.text, []byte(n.tag.String()), []byte(moved.String()), 1)
			n.tag = moved
			return []line{n}
		}
		pushForged(t, target, segments, lie)
	},
	"forged: entries that never were": func(t *testing.T, target *memory, segments []ocispec.Descriptor) {
		extra, err := newLine(publication(t, "never", epoch, "1").Tag, publication(t, "never", epoch, "1").Manifest)
		if err != nil {
			t.Fatal(err)
		}
		pushForged(t, target, segments, func(n line) []line { return []line{n, extra} })
	},
	"forged: empty": func(t *testing.T, target *memory, segments []ocispec.Descriptor) {
		pushForged(t, target, segments, func(line) []line { return nil })
	},
	"forged: not zstd": func(t *testing.T, target *memory, _ []ocispec.Descriptor) {
		pushSnapshot(t, target, []byte("this is no segment"))
	},
	"forged: lines that are no records": func(t *testing.T, target *memory, _ []ocispec.Descriptor) {
		w, _ := newSegmentWriter()
		for _, text := range []string{"", "{", `{"tag":5}`, `{"tag":"x"}`, `{"tag":"entry-0001.0mwu3pj0e.p097dbad0840886c0"}`, "[]"} {
			if err := w.add([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		blob, _ := w.finish()
		pushSnapshot(t, target, blob)
	},
	"forged: a line without end": func(t *testing.T, target *memory, _ []ocispec.Descriptor) {
		w, _ := newSegmentWriter()
		if err := w.add(bytes.Repeat([]byte("a"), maxLine+10)); err != nil {
			t.Fatal(err)
		}
		blob, _ := w.finish()
		pushSnapshot(t, target, blob)
	},
}

func pushSnapshot(t *testing.T, target *memory, segment []byte) {
	t.Helper()
	d := ocispec.Descriptor{MediaType: revision.MediaTypeSegment, Digest: digest.FromBytes(segment), Size: int64(len(segment))}
	if err := target.PushBlob(t.Context(), d, segment); err != nil {
		t.Fatal(err)
	}
	manifest, err := snapshotManifest(ocispec.DescriptorEmptyJSON, []ocispec.Descriptor{d}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tag := revision.SnapshotTag(entry.NewTime(epoch.Add(time.Hour)), digest.FromBytes(manifest))
	if err := target.PushManifest(t.Context(), descriptorOf(manifest), manifest, tag.String()); err != nil {
		t.Fatal(err)
	}
}

func TestATagListThatIsCutHidesNothing(t *testing.T) {
	older := func(names ...string) func(string) bool {
		return func(tag string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(tag, n+".") })
		}
	}
	for _, tt := range []struct {
		name string
		warm bool // the reader has a cache that saw the whole list
		hide func(tag string) bool
	}{
		{"revisions that a snapshot covers", false, older("entry-0003", "entry-0040")},
		{"everything but the snapshots", true, func(tag string) bool { return !strings.HasPrefix(tag, "_") }},
		{"everything", true, func(string) bool { return true }},
		{"rolled back: the newest revisions and snapshots", true, func(tag string) bool {
			parsed, _ := revision.ParseTag(tag)
			return parsed.Millis > epoch.Add(100*time.Millisecond).UnixMilli()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			names := fill(t, target, c, 100)
			cache := NewCache(t.TempDir(), 0)
			if tt.warm {
				live(t, newLog(target, "test", Options{Cache: cache}))
			}
			target.hide = tt.hide
			got, warnings := live(t, newLog(target, "test", Options{Cache: cache}))
			if diff := cmp.Diff(names, got); diff != "" {
				t.Error(diff)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "incomplete") {
				t.Errorf("warnings %v, want one about the incomplete list", warnings)
			}
		})
	}
}

func TestADeletedRevisionIsNotLive(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 100)
	for tag := range target.tags {
		if strings.HasPrefix(tag, "entry-0005.") {
			delete(target.tags, tag)
		}
	}
	got, warnings := live(t, newLog(target, "test", Options{}))
	if diff := cmp.Diff(slices.DeleteFunc(names, func(n string) bool { return n == "entry-0005" }), got); diff != "" {
		t.Error(diff)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "deleted") {
		t.Errorf("warnings %v, want one about the deleted revision", warnings)
	}
}

func TestARepositoryThatWasEmptiedIsForgotten(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	cache := NewCache(t.TempDir(), 0)
	live(t, newLog(target, "test", Options{Cache: cache}))
	empty := newMemory()
	reader := newLog(empty, "test", Options{Cache: cache})
	if _, err := reader.Read(t.Context()); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("error %v, want unreachable: all that was seen is gone", err)
	}
	if err := reader.Forget(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if got, warnings := live(t, newLog(empty, "test", Options{Cache: cache})); len(got) > 0 || len(warnings) != 0 {
		t.Errorf("%v is live, with warnings %v", got, warnings)
	}
	again := empty.counted(func() { live(t, newLog(empty, "test", Options{Cache: cache})) })
	if diff := cmp.Diff(map[string]int{"tags": 1}, again); diff != "" {
		t.Errorf("the next reading still looks for what is gone:\n%s", diff)
	}
}

func TestAHiddenRevisionThatCannotBeAskedForIsAnError(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	target.hide = func(tag string) bool { return strings.HasPrefix(tag, "entry-0005.") }
	target.failOn = func(operation, _ string) error {
		if operation == "resolve" {
			return entry.ErrUnreachable
		}
		return nil
	}
	view, err := newLog(target, "test", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if revisions, err := liveOf(t.Context(), view, time.Time{}); err == nil {
		t.Errorf("%d entries and no error: a shorter list was passed off as the catalog", len(revisions))
	}
}

// Strangers hold no snapshot up: neither by what a forged one claims beside what is
// there, nor by tags that hold no revision. Nor do these make one due.
func TestStrangersHoldUpNoSnapshot(t *testing.T) {
	const claims, junk = 2000, 200
	target, c := newMemory(), &clock{}
	fill(t, target, c, 32)
	var all [][]byte
	for _, blob := range newest(t, target) {
		for n, err := range lines(target.blobs[blob], unspent(t)) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, slices.Clone(n.text))
		}
	}
	for i := range claims {
		packed := publication(t, fmt.Sprintf("claim-%04d", i), c.Now(), "1")
		n, err := newLine(packed.Tag, packed.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n.text)
	}
	pushLines(t, target, all...)
	other := []byte(`{"schemaVersion":2}`)
	for i := range junk { // before what decides the name: no reader looks at it
		tag := revision.NewTag("entry-0000", entry.NewTime(epoch.Add(-time.Duration(i)*time.Second)), revision.OpPublish, digest.FromString(fmt.Sprint(i)))
		if err := target.PushManifest(t.Context(), descriptorOf(other), other, tag.String()); err != nil {
			t.Fatal(err)
		}
	}
	options := Options{
		Now: func() time.Time { return epoch.Add(2 * time.Hour) }, HasEntrySignatures: trusting(false), Cache: NewCache(t.TempDir(), 0),
	}
	compact := func(want bool) {
		t.Helper()
		log := newLog(target, "test", options)
		view, err := log.Read(t.Context())
		if err == nil {
			_, err = liveOf(t.Context(), view, time.Time{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if wrote, err := log.Compact(t.Context(), view); err != nil || wrote != want {
			t.Errorf("wrote a snapshot: %t, %v, want %t", wrote, err, want)
		}
	}
	compact(false)
	requests := target.counted(func() { compact(false) })
	if requests["manifest"] > dueTail {
		t.Errorf("%v requests to find %d tags again that hold no revision", requests, junk)
	}
	for i := range dueTail {
		appendAll(t, newLog(target, "writer", Options{}), publication(t, fmt.Sprintf("more-%04d", i), c.Now(), "1"))
	}
	compact(true)
	compact(false)
}

// newest returns the segments of the newest snapshot.
func newest(t *testing.T, target *memory) (segments []digest.Digest) {
	t.Helper()
	tags := target.snapshots()
	var manifest ocispec.Manifest
	if err := json.Unmarshal(target.manifests[target.tags[tags[len(tags)-1]]], &manifest); err != nil {
		t.Fatal(err)
	}
	for _, layer := range manifest.Layers {
		segments = append(segments, layer.Digest)
	}
	return segments
}

func TestMergingKeepsSignaturesAndUnknownFields(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 32)
	tag := target.snapshots()[0]
	var manifest ocispec.Manifest
	if err := json.Unmarshal(target.manifests[target.tags[tag]], &manifest); err != nil {
		t.Fatal(err)
	}
	pushForged(t, target, manifest.Layers, func(n line) []line {
		n.text = append(n.text[:len(n.text)-1], `,"signatures":[{"mediaType":"bundle"}],"seen":7}`...)
		return []line{n}
	})
	c.now = epoch.Add(2 * time.Hour)
	fill(t, target, c, 40) // writes the next snapshot, merging the small segment
	tags := target.snapshots()
	if err := json.Unmarshal(target.manifests[target.tags[tags[len(tags)-1]]], &manifest); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, layer := range manifest.Layers {
		for n, err := range lines(target.blobs[layer.Digest], unspent(t)) {
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(n.text, []byte(`"signatures":[{"mediaType":"bundle"}],"seen":7`)) {
				kept++
			}
		}
	}
	if kept != 32 {
		t.Errorf("%d records kept what others wrote into them, want 32", kept)
	}
}

func FuzzLines(f *testing.F) {
	w, err := newSegmentWriter()
	if err != nil {
		f.Fatal(err)
	}
	packed := publication(f, "a", epoch, "1")
	n, err := newLine(packed.Tag, packed.Manifest)
	if err != nil {
		f.Fatal(err)
	}
	if err := w.add(n.text); err != nil {
		f.Fatal(err)
	}
	blob, err := w.finish()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Add(blob[:len(blob)/2])
	f.Add([]byte("not zstd"))
	f.Fuzz(func(t *testing.T, segment []byte) {
		for n, err := range lines(segment, unspent(t)) {
			if err != nil {
				return
			}
			if o, err := n.open(); err == nil && (!n.tag.Names(o.digest) || digest.FromBytes(o.manifest) != o.digest) {
				t.Errorf("%s: a record that is not valid was opened", n.tag)
			}
		}
	})
}
