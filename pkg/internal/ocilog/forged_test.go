package ocilog

import (
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// forge replaces a record's manifest by a revision of the same name and time
// that says something else.
func forge(t *testing.T, n line) line {
	t.Helper()
	false_, err := newLine(n.tag, publicationBy(t, "mallet", n.tag.Name, n.tag.Time().Time, "1").Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return false_
}

// pushForged pushes a newer snapshot whose records are what lie makes of the
// real ones.
func pushForged(t *testing.T, target *memory, segments []ocispec.Descriptor, lie func(line) []line) {
	t.Helper()
	w, err := newSegmentWriter()
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range segments {
		for n, err := range lines(target.blobs[segment.Digest], unspent(t)) {
			if err != nil {
				t.Fatal(err)
			}
			for _, told := range lie(line{tag: n.tag, text: slices.Clone(n.text)}) {
				if err := w.add(told.text); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	blob, err := w.finish()
	if err != nil {
		t.Fatal(err)
	}
	pushSnapshot(t, target, blob)
}

func TestSnapshotsAreNeverBelieved(t *testing.T) {
	for name, break_ := range spoil {
		t.Run(name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			names := fill(t, target, c, 100)
			tag := target.snapshots()[len(target.snapshots())-1]
			var manifest ocispec.Manifest
			if err := json.Unmarshal(target.manifests[target.tags[tag]], &manifest); err != nil {
				t.Fatal(err)
			}
			break_(t, target, manifest.Layers)
			view, err := newLog(target, "test", Options{}).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			revisions, err := liveOf(t.Context(), view, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range revisions {
				got = append(got, r.Tag.Name)
				if r.Document.PublishedBy != "tester" {
					t.Errorf("%s: forged words are shown", r.Tag)
				}
			}
			if diff := cmp.Diff(names, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A forged snapshot that is newer leaves the reader the valid one behind it,
// also for the next process.
func TestAForgedSnapshotDoesNotReplaceTheOneBefore(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	valid := target.snapshots()
	forged := publication(t, "forged", epoch, "1")
	n, err := newLine(forged.Tag, forged.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	pushLines(t, target, n.text)
	log := newLog(target, "test", Options{})
	live(t, log)
	var kept []string
	for _, s := range log.snapshots {
		kept = append(kept, s.tag.String())
	}
	all := target.snapshots()
	want := []string{valid[len(valid)-1], all[len(all)-1]}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptySnapshotDoesNotReplaceTheOneBefore(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	pushForged(t, target, nil, func(line) []line { return nil })
	requests := target.counted(func() { live(t, newLog(target, "test", Options{})) })
	if requests["manifest"] > 2+dueTail {
		t.Errorf("%v: the revisions were read one by one", requests)
	}
}

// A writer that finds a forged snapshot replaces it by one that readers can
// use, without the forgeries, and is not held up by tags that are no revisions.
func TestWritersHealWhatWasForged(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	var manifest ocispec.Manifest
	tags := target.snapshots()
	if err := json.Unmarshal(target.manifests[target.tags[tags[len(tags)-1]]], &manifest); err != nil {
		t.Fatal(err)
	}
	pushForged(t, target, manifest.Layers, func(n line) []line {
		if n.tag.Name < "entry-0040" {
			return []line{n}
		}
		return []line{forge(t, n)}
	})
	a, b := publication(t, "a", epoch, "1"), publication(t, "b", epoch, "1")
	if err := target.PushManifest(t.Context(), b.Descriptor, b.Manifest, a.Tag.String()); err != nil {
		t.Fatal(err)
	}
	log := newLog(target, "test", Options{Now: func() time.Time { return epoch.Add(2 * time.Hour) }})
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := liveOf(t.Context(), view, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if wrote, err := log.Compact(t.Context(), view); err != nil || !wrote {
		t.Fatalf("wrote a snapshot: %t, %v", wrote, err)
	}
	for digest, blob := range target.blobs {
		if !slices.Contains(newest(t, target), digest) {
			continue
		}
		for n, err := range lines(blob, unspent(t)) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.open(); err != nil {
				t.Errorf("the new snapshot passes on a forgery: %v", err)
			}
		}
	}
	requests := target.counted(func() { live(t, newLog(target, "test", Options{})) })
	if requests["manifest"] > 5 {
		t.Errorf("%v: the new snapshot does not cover what was forged", requests)
	}
}
