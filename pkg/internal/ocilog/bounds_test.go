package ocilog

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// compressed repeats a text into a segment of so many bytes.
func compressed(t *testing.T, text string, size int) []byte {
	t.Helper()
	w, err := newStateWriter()
	if err != nil {
		t.Fatal(err)
	}
	block := []byte(strings.Repeat(text, 1<<20/len(text)))
	for range size / len(block) {
		if _, err := w.encoder.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	blob, err := w.finish()
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// pushLayers pushes snapshots of the same segments, each dated later.
func pushLayers(t *testing.T, target *memory, snapshots int, segments ...[]byte) {
	t.Helper()
	var layers []ocispec.Descriptor
	for _, blob := range segments {
		d := ocispec.Descriptor{MediaType: revision.MediaTypeSegment, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
		if err := target.PushBlob(t.Context(), d, blob); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, d)
	}
	for i := range snapshots {
		manifest, err := snapshotManifest(ocispec.DescriptorEmptyJSON, layers, map[string]string{"n": fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		tag := revision.SnapshotTag(entry.NewTime(epoch.Add(time.Hour+time.Duration(i)*time.Second)), digest.FromBytes(manifest))
		if err := target.PushManifest(t.Context(), descriptorOf(manifest), manifest, tag.String()); err != nil {
			t.Fatal(err)
		}
	}
}

// What snapshots hold is read within one budget, whatever it is and however
// often it is named; then the revisions are read one by one.
func TestHugeSnapshotsAreBounded(t *testing.T) {
	for name, segment := range map[string]func(t *testing.T) []byte{
		"blanks":          func(t *testing.T) []byte { return compressed(t, " ", 64<<20) },
		"empty lines":     func(t *testing.T) []byte { return compressed(t, "\n", 64<<20) },
		"lines of braces": func(t *testing.T) []byte { return compressed(t, "{}\n", 64<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			names := fill(t, target, c, 20)
			huge := segment(t)
			layers := make([][]byte, readSegments)
			for i := range layers {
				layers[i] = huge
			}
			pushLayers(t, target, 3, layers...)
			var got []string
			requests := target.counted(func() { got, _ = live(t, newLog(target, "test", Options{})) })
			if diff := cmp.Diff(names, got); diff != "" {
				t.Error(diff)
			}
			if requests["blob"] > trySnapshots {
				t.Errorf("%d segments were fetched for one that is named %d times", requests["blob"], 3*readSegments)
			}
		})
	}
}

// hanging is a target whose blobs never come.
type hanging struct{ *memory }

func (h hanging) Blob(ctx context.Context, _ ocispec.Descriptor) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A snapshot that does not come leaves time to read the revisions one by one.
func TestASlowSnapshotLeavesTime(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 40)
	within, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	view, err := newLog(hanging{target}, "test", Options{}).Read(within)
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := liveOf(within, view, time.Time{})
	if err != nil || len(revisions) != len(names) {
		t.Errorf("%d entries, %v: want %d before the time is up", len(revisions), err, len(names))
	}
}

// What a snapshot claims by the thousand is not asked for by the thousand, and
// the true number is told.
func TestManyClaimsAreNotAskedFor(t *testing.T) {
	const claims = 2000
	for _, tt := range []struct {
		name string
		line func(i int, c *clock) line
		asks int // at most
		says string
	}{
		{"valid revisions", func(i int, c *clock) line {
			packed := publication(t, fmt.Sprintf("claim-%04d", i), c.Now(), "1")
			n, _ := newLine(packed.Tag, packed.Manifest)
			return n
		}, 2 * tryClaims, fmt.Sprintf("%d records of revisions", claims)},
		{"records of other manifests", func(i int, c *clock) line {
			n, _ := newLine(publication(t, fmt.Sprintf("claim-%04d", i), c.Now(), "1").Tag, []byte("{}"))
			return n
		}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			names := fill(t, target, c, 10)
			var all [][]byte
			for i := range claims {
				all = append(all, tt.line(i, c).text)
			}
			pushLines(t, target, all...)
			var got []string
			var warnings []error
			requests := target.counted(func() { got, warnings = live(t, newLog(target, "test", Options{})) })
			if diff := cmp.Diff(names, got); diff != "" || requests["resolve"] > tt.asks {
				t.Errorf("%v requests, want at most %d looks\n%s", requests, tt.asks, diff)
			}
			if said := fmt.Sprint(warnings); !strings.Contains(said, tt.says) {
				t.Errorf("warnings %s, want %q", said, tt.says)
			}
		})
	}
}

// What a snapshot claims of one name takes as many requests and looks at its
// segments, however much it is.
func TestManyClaimsOfOneName(t *testing.T) {
	for _, claims := range []int{1000, 4000} {
		target, c := newMemory(), &clock{}
		appendAll(t, newLog(target, "writer", Options{}), publication(t, "a", c.Now(), "1"), publication(t, "b", c.Now(), "1"))
		var all [][]byte
		for range claims {
			packed := publication(t, "a", c.Now(), "2")
			n, err := newLine(packed.Tag, packed.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n.text)
		}
		pushLines(t, target, all...)
		var got []string
		var warnings []error
		requests := target.counted(func() { got, warnings = live(t, newLog(target, "test", Options{})) })
		if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" || requests["resolve"] > 2*tryClaims+2 || requests["blob"] > 3 {
			t.Errorf("%d claims: %v requests, want at most %d looks and 3 segments\n%s", claims, requests, 2*tryClaims+2, diff)
		}
		if said := fmt.Sprint(warnings); !strings.Contains(said, fmt.Sprintf("%d records of revisions", claims)) {
			t.Errorf("%d claims: warnings %s, want how many", claims, said)
		}
	}
}

// What one segment claims by the thousand hides nothing that another one claims.
func TestEachSegmentHasAShareOfTheClaims(t *testing.T) {
	log, c := newLog(newMemory(), "test", Options{}), &clock{}
	var tags []revision.Tag
	claim := func(segment string, count int) {
		for range count {
			tag := publication(t, "a", c.Now(), "1").Tag
			log.known.of(tag).segments = []digest.Digest{digest.FromString(segment)}
			tags = append(tags, tag)
		}
	}
	claim("small", 1)
	claim("forged", 2000)
	claim("another", 2000)
	some, rest := log.emptyView().sample(tags, tryClaims)
	if len(some) != tryClaims || len(some)+len(rest) != len(tags) || some[0] != tags[0] {
		t.Errorf("%d of %d claims, the first %s: want %d, with %s of the small segment", len(some), len(tags), some[0], tryClaims, tags[0])
	}
}

// Tags beside the log that are dated too far ahead bind no writer: neither of
// snapshots nor of statuses.
func TestArtifactsOfTheFarFutureBindNobody(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 31)
	bogus := []string{"_snapshot.zzzzzzzzz.s0000000000000000", "_status.zzzzzzzzz.s0000000000000000"}
	for _, tag := range bogus {
		target.tags[tag] = "sha256:" + digest.Digest(strings.Repeat("0", 64))
	}
	log := newLog(target, "log", Options{Now: c.Now})
	appendAll(t, log, publication(t, "last", c.Now(), "1"))
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := log.Compact(t.Context(), view); err != nil || !wrote {
		t.Errorf("a snapshot is written: %t, %v", wrote, err)
	}
	statuses, err := log.WriteStatuses(t.Context(), view, []*entry.Status{{
		Name: "last", Revision: digest.FromString("x"), Phase: entry.PhaseAvailable, LastVerified: entry.NewTime(epoch), Since: entry.NewTime(epoch),
	}})
	if err != nil || len(revision.ParseStatusTags([]string{statuses.Tag.String()})) != 1 {
		t.Errorf("statuses are written under %s, %v", statuses.Tag, err)
	}
	said := fmt.Sprint(view.Warnings())
	for _, tag := range bogus {
		if !strings.Contains(said, tag) {
			t.Errorf("warnings %s, want the tag to delete: %s", said, tag)
		}
	}
}

// A flood of tags that hold no revision is told in one line, and recorded by
// the next process.
func TestAFloodIsRecorded(t *testing.T) {
	const flood = 1000
	target, c := newMemory(), &clock{}
	appendAll(t, newLog(target, "writer", Options{}), publication(t, "a", c.Now(), "1"), publication(t, "b", c.Now(), "1"))
	junk := []byte(`{"schemaVersion":2}`)
	for i := range flood {
		tag := revision.NewTag("a", entry.NewTime(c.Now()), revision.OpPublish, digest.FromString(fmt.Sprint(i)))
		if err := target.PushManifest(t.Context(), descriptorOf(junk), junk, tag.String()); err != nil {
			t.Fatal(err)
		}
	}
	cache := NewCache(t.TempDir(), 0)
	for _, reading := range []struct {
		what string
		most int
	}{{"first", flood + 2}, {"second", 0}} {
		var got []string
		var warnings []error
		requests := target.counted(func() { got, warnings = live(t, newLog(target, "test", Options{Cache: cache})) })
		if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" || requests["manifest"] > reading.most {
			t.Errorf("the %s reading: %v requests, want at most %d manifests\n%s", reading.what, requests, reading.most, diff)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), fmt.Sprintf("%d tags of a", flood)) {
			t.Errorf("the %s reading warns %v, want one line", reading.what, warnings)
		}
	}
}

// large is a publication of about 400 KB, in an annotation that does not compress.
func large(t *testing.T, name string, at time.Time) *revision.Packed {
	t.Helper()
	noise := make([]byte, 300_000)
	_, _ = rand.Read(noise)
	small := publicationIn(t, "", name, at, "1")
	text := strings.Replace(string(small.Manifest), `"annotations":{`, `"annotations":{"noise":"`+base64.RawURLEncoding.EncodeToString(noise)+`",`, 1)
	packed := *small
	packed.Manifest = []byte(text)
	packed.Descriptor.Digest, packed.Descriptor.Size = digest.FromString(text), int64(len(text))
	packed.Tag = revision.NewTag(name, entry.NewTime(at), revision.OpPublish, packed.Descriptor.Digest)
	return &packed
}

// Segments are bounded in bytes, too; what one snapshot cannot be read of, the
// next one has.
func TestSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	const entries = 96 // 28 MB and more, compressed
	target, c := newMemory(), &clock{}
	log := newLog(target, "log", Options{Now: c.Now})
	for i := range entries {
		appendAll(t, log, large(t, fmt.Sprintf("large-%03d", i), c.Now()))
	}
	if f := log.known; f.bytes > maxHeldBytes {
		t.Errorf("%d bytes of manifests are held, want at most %d", f.bytes, maxHeldBytes)
	}
	broken := compressed(t, "{}\n", 1<<20)
	pushLayers(t, target, 1, broken[:len(broken)/2])
	for _, writer := range []string{"first", "second"} {
		log := newLog(target, "log", Options{Now: func() time.Time { return epoch.Add(2 * time.Hour) }})
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wrote, err := log.Compact(t.Context(), view)
		if err != nil || wrote != (writer == "first") {
			t.Fatalf("the %s writer: wrote a snapshot %t, %v", writer, wrote, err)
		}
	}
	segments := newest(t, target)
	if len(segments) < 2 {
		t.Errorf("%d segments for %d large records", len(segments), entries)
	}
	for _, d := range segments {
		if n := len(target.blobs[d]); n > writeBlob+maxLine {
			t.Errorf("a segment of %d bytes", n)
		}
	}
	requests := target.counted(func() {
		if got, _ := live(t, newLog(target, "test", Options{})); len(got) != entries {
			t.Errorf("%d entries, want %d", len(got), entries)
		}
	})
	if requests["manifest"] > 2 {
		t.Errorf("%v: the snapshot does not cover them", requests)
	}
}

// A claim that nobody had the time to look into is not found to be false.
func TestABrokenOffReadDropsNoClaims(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	log := newLog(target, "test", Options{})
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tag := claimed(t, view)
	valid, _ := log.known.get(tag)
	gone, cancel := context.WithCancel(t.Context())
	target.failOn = func(operation, _ string) error {
		cancel()
		return gone.Err()
	}
	view.fromSegments(gone, view.log.target, []revision.Tag{tag}, map[revision.Tag]*revision.Revision{})
	target.failOn = nil
	if f, _ := log.known.get(tag); len(f.segments) != len(valid.segments) {
		t.Errorf("%d claims of %d are left after a reading that was broken off", len(f.segments), len(valid.segments))
	}
}

// claimed returns a tag of a view that a segment claims to have.
func claimed(t *testing.T, view *View) (tag revision.Tag) {
	t.Helper()
	for _, tag = range view.listed {
		if f, _ := view.log.known.get(tag); len(f.segments) > 0 {
			return tag
		}
	}
	t.Fatal("no segment claims anything")
	return tag
}

// Of many claims of one record only some are looked into.
func TestManyClaims(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 100)
	log := newLog(target, "test", Options{})
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tag := claimed(t, view)
	if _, err := view.Heads(t.Context(), time.Time{}); err != nil { // its record was checked
		t.Fatal(err)
	}
	var layers [][]byte
	n, err := newLine(tag, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	never, err := newLine(publication(t, "never", c.Now(), "1").Tag, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * maxClaims {
		w, err := newStateWriter()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{n.text, never.text, fmt.Append(nil, i)} {
			if err := w.add(text); err != nil {
				t.Fatal(err)
			}
		}
		blob, err := w.finish()
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, blob)
	}
	pushLayers(t, target, 1, layers...)
	if _, err := log.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, _ := log.known.get(tag); len(f.segments) < 10*maxClaims {
		t.Fatalf("%d claims, want those of %d segments", len(f.segments), 10*maxClaims)
	}
	log.known.mu.Lock()
	log.known.drop(log.known.of(tag))
	log.known.mu.Unlock()
	var manifest []byte
	requests := target.counted(func() { manifest = log.manifestAtHand(t.Context(), tag) })
	if requests["blob"] > maxClaims || !tag.Names(digest.FromBytes(manifest)) {
		t.Errorf("%v requests and %d bytes, want at most %d segments and the manifest that was known before", requests, len(manifest), maxClaims)
	}
	requests = target.counted(func() {
		view.fromSegments(t.Context(), view.log.target, []revision.Tag{never.tag}, map[revision.Tag]*revision.Revision{})
	})
	if requests["blob"] > maxClaims {
		t.Errorf("%v requests for what %d segments claim falsely, want at most %d", requests, 10*maxClaims, maxClaims)
	}
}

// A reader whose time is up before it has asked for all tags of a flood is
// followed by one that goes on from there.
func TestAFloodThatIsReadInParts(t *testing.T) {
	const flood, each = 600, 200
	target, c := newMemory(), &clock{}
	appendAll(t, newLog(target, "writer", Options{}), publication(t, "a", c.Now(), "1"))
	for i := range flood {
		junk := fmt.Appendf(nil, `{"schemaVersion":2,"n":%d}`, i/2) // half of them of other bytes than the tag's
		tag := revision.NewTag("a", entry.NewTime(c.Now()), revision.OpPublish, digest.FromString(fmt.Sprintf(`{"schemaVersion":2,"n":%d}`, i)))
		if err := target.PushManifest(t.Context(), descriptorOf(junk), junk, tag.String()); err != nil {
			t.Fatal(err)
		}
	}
	options := Options{Cache: NewCache(t.TempDir(), 0), Parallel: 1, Now: c.Now}
	for range 2 * flood / each {
		within, cancel := context.WithCancel(t.Context())
		left := each
		target.failOn = func(operation, _ string) error {
			if operation != "manifest" {
				return nil
			}
			if left--; left < 0 {
				cancel()
			}
			return within.Err()
		}
		view, err := newLog(target, "test", options).Read(within)
		if err == nil {
			_, err = liveOf(within, view, time.Time{})
		}
		cancel()
		if err == nil {
			return
		}
	}
	t.Errorf("no reader of %d got to the end of a flood of %d tags, with %d requests each", 2*flood/each, flood, each)
}
