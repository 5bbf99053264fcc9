package ocilog

import (
	"context"
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

// publicationIn is a publication that names its catalog.
func publicationIn(t testing.TB, catalog, name string, at time.Time, version string) *revision.Packed {
	t.Helper()
	packed, err := revision.Pack(&revision.Document{
		Name: name, Version: version, Catalog: catalog,
		Image: revision.Image{
			Reference: "registry.example.com/os/" + name + ":" + version, Digest: digest.FromString(name + version),
			MediaType: ocispec.MediaTypeImageManifest, Size: 1234,
		},
		Source: entry.Source{Type: entry.SourceManual}, PublishedAt: entry.NewTime(at),
	}, revision.Seen{})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func appendAll(t testing.TB, log *Log, all ...*revision.Packed) {
	t.Helper()
	for _, packed := range all {
		if err := log.Append(t.Context(), packed, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// read reads the log of a reader anew, in a process of its own, and returns the
// live versions by name, the vanished tags by name, and the warnings.
func read(t testing.TB, target *memory, options Options) (versions map[string]string, vanished []string, warnings string, err error) {
	t.Helper()
	view, err := newLog(target, "log", options).Read(t.Context())
	if err != nil {
		return nil, nil, "", err
	}
	heads, err := view.Heads(t.Context(), time.Time{})
	if err != nil {
		return nil, nil, "", err
	}
	versions, at := map[string]string{}, map[string]revision.Tag{}
	for _, head := range heads {
		at[head.Tag.Name] = head.Tag
		if head.Document != nil {
			versions[head.Tag.Name] = head.Document.Version
		}
	}
	for _, name := range view.VanishedNames(time.Time{}) {
		for _, lost := range view.Vanished(t.Context(), name, at[name], time.Time{}) {
			vanished = append(vanished, lost.Tag.String())
		}
	}
	for _, warning := range view.Warnings() {
		warnings += warning.Error() + "\n"
	}
	return versions, vanished, warnings, nil
}

func (m *memory) delete(tags ...revision.Tag) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, tag := range tags {
		delete(m.tags, tag.String())
	}
}

// What a reader saw stays known when the registry has it no longer: the first
// time, the second, and with only the state left of what it knew.
func TestVanishedHeadsStayKnown(t *testing.T) {
	for _, cached := range []bool{true, false} {
		t.Run(fmt.Sprintf("with a cache %t", cached), func(t *testing.T) {
			target, c, options := newMemory(), &clock{}, Options{State: NewState(t.TempDir())}
			if cached {
				options.Cache = NewCache(t.TempDir(), 0)
			}
			first, second, other := publication(t, "a", c.Now(), "1"), publication(t, "a", c.Now(), "2"), publication(t, "b", c.Now(), "1")
			appendAll(t, newLog(target, "writer", Options{}), first, second, other)
			if versions, _, _, err := read(t, target, options); err != nil || versions["a"] != "2" {
				t.Fatalf("%v, %v", versions, err)
			}
			target.delete(second.Tag)
			for _, reading := range []string{"first", "second", "third"} {
				versions, vanished, warnings, err := read(t, target, options)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{second.Tag.String()}, vanished); diff != "" || versions["a"] != "1" {
					t.Errorf("the %s reading shows %v, vanished:\n%s", reading, versions, diff)
				}
				if !strings.Contains(warnings, second.Tag.String()) {
					t.Errorf("the %s reading warns %q, want the tag", reading, warnings)
				}
			}
			// A later publication is what everybody moves on to.
			appendAll(t, newLog(target, "writer", Options{}), publication(t, "a", c.Now().Add(time.Second), "3"))
			versions, vanished, warnings, err := read(t, target, options)
			if err != nil || versions["a"] != "3" || len(vanished) > 0 || warnings != "" {
				t.Errorf("after a later one: %v, vanished %v, warnings %q, %v", versions, vanished, warnings, err)
			}
			// Only an older one than that may go without a word.
			target.delete(first.Tag)
			if _, vanished, warnings, err := read(t, target, options); err != nil || len(vanished) > 0 || warnings != "" {
				t.Errorf("superseded and gone: vanished %v, warnings %q, %v", vanished, warnings, err)
			}
		})
	}
}

// What stands again is no loss any more.
func TestVanishedHeadsStandAgain(t *testing.T) {
	target, c, options := newMemory(), &clock{}, Options{State: NewState(t.TempDir())}
	packed := publication(t, "a", c.Now(), "1")
	writer := newLog(target, "writer", Options{})
	appendAll(t, writer, packed)
	for _, step := range []struct {
		what  string
		do    func()
		lost  int
		shown string
	}{
		{"seen", func() {}, 0, "1"},
		{"deleted", func() { target.delete(packed.Tag) }, 1, ""},
		{"put back", func() { appendAll(t, writer, packed) }, 0, "1"},
		{"deleted again", func() { target.delete(packed.Tag) }, 1, ""},
		{"put back and hidden", func() {
			appendAll(t, writer, packed)
			target.hide = func(string) bool { return true }
		}, 0, "1"},
	} {
		step.do()
		versions, vanished, _, err := read(t, target, options)
		if err != nil || len(vanished) != step.lost || versions["a"] != step.shown {
			t.Errorf("%s: shows %v, vanished %v, %v", step.what, versions, vanished, err)
		}
	}
}

// A forged snapshot of less takes nothing away, whether it is empty, lists
// something else, or is as new as can be.
func TestSnapshotsTakeNothingAway(t *testing.T) {
	for name, forged := range map[string]func(t *testing.T, target *memory){
		"one record that is none": func(t *testing.T, target *memory) {
			pushLines(t, target, []byte(`{"tag":"x0000000.0mm7p6yxl.p0000000000000000","manifest":""}`))
		},
		"one record of something else": func(t *testing.T, target *memory) {
			packed := publication(t, "else", epoch, "1")
			n, err := newLine(packed.Tag, packed.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			pushLines(t, target, n.text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			options := Options{State: NewState(t.TempDir()), Cache: NewCache(t.TempDir(), 0)}
			fill(t, target, c, 38)
			old, now := publication(t, "zed", c.Now(), "1"), publication(t, "zed", c.Now(), "2")
			hidden := publication(t, "hidden", c.Now(), "1")
			appendAll(t, newLog(target, "writer", Options{}), old, now, hidden)
			if _, _, _, err := read(t, target, options); err != nil {
				t.Fatal(err)
			}
			target.delete(now.Tag)
			forged(t, target)
			target.hide = func(tag string) bool { return strings.HasPrefix(tag, "hidden.") }
			for range 2 {
				versions, vanished, _, err := read(t, target, options)
				if err != nil || len(vanished) != 1 || versions["zed"] != "1" || versions["hidden"] != "1" || len(versions) != 40 {
					t.Errorf("%d entries, zed %q, hidden %q, vanished %v, %v", len(versions), versions["zed"], versions["hidden"], vanished, err)
				}
			}
		})
	}
}

// pushLines pushes a snapshot, dated an hour ahead, with these lines.
func pushLines(t *testing.T, target *memory, lines ...[]byte) {
	t.Helper()
	w, err := newSegmentWriter()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range lines {
		if err := w.add(text); err != nil {
			t.Fatal(err)
		}
	}
	blob, err := w.finish()
	if err != nil {
		t.Fatal(err)
	}
	pushSnapshot(t, target, blob)
}

// A snapshot is a stranger's word: what it claims and the registry does not have
// was never here, unless the policy verifies it and it names this catalog.
func TestRumoursAreNoLoss(t *testing.T) {
	verified := func(context.Context, *revision.Revision) bool { return true }
	for _, tt := range []struct {
		name    string
		catalog string
		policy  func(context.Context, *revision.Revision) bool
		want    int
	}{
		{"no policy", "log", nil, 0},
		{"of this catalog, and verified", "log", verified, 32},
		{"of this catalog, and not verified", "log", func(context.Context, *revision.Revision) bool { return false }, 0},
		{"of another catalog", "other", verified, 0},
		{"of no catalog", "", verified, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			appendAll(t, newLog(target, "writer", Options{}), publication(t, "stands", c.Now(), "1"))
			var claims [][]byte
			for i := range 32 {
				packed := publicationIn(t, tt.catalog, fmt.Sprintf("rumour-%02d", i), c.Now(), "1")
				n, err := newLine(packed.Tag, packed.Manifest)
				if err != nil {
					t.Fatal(err)
				}
				claims = append(claims, n.text)
			}
			pushLines(t, target, claims...)
			options := Options{Cache: NewCache(t.TempDir(), 0), State: NewState(t.TempDir()), HasEntrySignatures: tt.policy}
			for _, reading := range []string{"first", "second"} {
				versions, vanished, warnings, err := read(t, target, options)
				if err != nil || len(vanished) != tt.want || len(versions) != 1 {
					t.Errorf("the %s reading: shows %v, %d vanished, want %d; %v", reading, versions, len(vanished), tt.want, err)
				}
				if tt.want == 0 && !strings.Contains(warnings, "a snapshot or the cache has 32 records of revisions that were deleted") {
					t.Errorf("the %s reading warns %q", reading, warnings)
				}
			}
		})
	}
}

// What a reader saw listed and never read is missed by what a snapshot holds of
// it, now and by the next process; a forged record of it says nothing.
func TestVanishedHeadsThatWereNeverRead(t *testing.T) {
	for name, forged := range map[string]bool{"with a valid record": false, "with a forged record": true} {
		t.Run(name, func(t *testing.T) {
			target, c := newMemory(), &clock{}
			options := Options{State: NewState(t.TempDir())}
			packed := publication(t, "a", c.Now(), "1")
			appendAll(t, newLog(target, "writer", Options{}), packed, publication(t, "b", c.Now(), "1"))
			manifest := packed.Manifest
			if forged {
				manifest = []byte(`{"schemaVersion":2}`)
			}
			n, err := newLine(packed.Tag, manifest)
			if err != nil {
				t.Fatal(err)
			}
			pushLines(t, target, n.text)
			log := newLog(target, "log", options)
			if _, err := log.Read(t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
			target.delete(packed.Tag)
			view, err := log.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := view.Heads(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
			want := []HeadRef{{packed.Tag, packed.Descriptor.Digest}}
			if forged {
				want = nil
			}
			var got []HeadRef
			for _, vanished := range view.Vanished(t.Context(), "a", revision.Tag{}, time.Time{}) {
				got = append(got, vanished.HeadRef)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("vanished (-want +got):\n%s", diff)
			}
			if _, vanished, _, err := read(t, target, options); err != nil || len(vanished) != len(want) {
				t.Errorf("the next process misses %v, want %v; %v", vanished, want, err)
			}
		})
	}
}

// What was signed and written here is missed when it is gone, although a
// stranger's later revision was all that was read since.
func TestOwnRevisionsAreMissedBehindAStrangers(t *testing.T) {
	target, c := newMemory(), &clock{}
	options := Options{State: NewState(t.TempDir()), HasEntrySignatures: func(_ context.Context, revision *revision.Revision) bool {
		return revision.Document.PublishedBy == "team"
	}}
	first, own := publicationBy(t, "team", "a", c.Now(), "1"), publicationBy(t, "team", "a", c.Now(), "2")
	for _, packed := range []*revision.Packed{first, own} {
		if err := newLog(target, "log", options).Append(t.Context(), packed, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	strangers := publicationBy(t, "stranger", "a", c.Now(), "3")
	appendAll(t, newLog(target, "stranger", Options{}), strangers)
	if versions, _, _, err := read(t, target, options); err != nil || versions["a"] != "3" {
		t.Fatalf("shows %v, %v", versions, err)
	}
	target.delete(own.Tag, strangers.Tag)
	for range 2 {
		versions, vanished, _, err := read(t, target, options)
		if diff := cmp.Diff([]string{own.Tag.String(), strangers.Tag.String()}, vanished); diff != "" || versions["a"] != "1" || err != nil {
			t.Errorf("shows %v, %v, vanished (-want +got):\n%s", versions, err, diff)
		}
	}
}

// A copy of a revision under a later tag is no revision: deleting it, as readers
// are told to, takes nothing away, although its digest is one that is signed.
func TestCopiesAreNoLoss(t *testing.T) {
	for _, cached := range []bool{true, false} {
		t.Run(fmt.Sprintf("with a cache %t", cached), func(t *testing.T) {
			target, c, options := newMemory(), &clock{}, Options{State: NewState(t.TempDir())}
			if cached {
				options.Cache = NewCache(t.TempDir(), 0)
			}
			packed := publication(t, "a", c.Now(), "1")
			copied := revision.NewTag("a", entry.NewTime(c.Now()), revision.OpPublish, packed.Descriptor.Digest)
			appendAll(t, newLog(target, "writer", Options{}), packed)
			if err := target.PushManifest(t.Context(), packed.Descriptor, packed.Manifest, copied.String()); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time, it is known from the cache
				if versions, vanished, _, err := read(t, target, options); err != nil || versions["a"] != "1" || len(vanished) > 0 {
					t.Fatalf("with the copy: shows %v, vanished %v, %v", versions, vanished, err)
				}
			}
			target.delete(copied)
			for range 2 {
				if versions, vanished, warnings, err := read(t, target, options); err != nil || versions["a"] != "1" || len(vanished) > 0 || warnings != "" {
					t.Errorf("without it: shows %v, vanished %v, warnings %q, %v", versions, vanished, warnings, err)
				}
			}
		})
	}
}

// A copy that was only put into a snapshot, and never decoded, is no head to be
// remembered: the next process would miss it.
func TestCopiesThatWereNeverDecodedAreNoLoss(t *testing.T) {
	target, c, options := newMemory(), &clock{}, Options{State: NewState(t.TempDir()), Cache: NewCache(t.TempDir(), 0)}
	packed := publication(t, "a", c.Now(), "1")
	appendAll(t, newLog(target, "writer", Options{}), packed)
	copied := revision.NewTag("a", entry.NewTime(c.Now()), revision.OpPublish, packed.Descriptor.Digest)
	if err := target.PushManifest(t.Context(), packed.Descriptor, packed.Manifest, copied.String()); err != nil {
		t.Fatal(err)
	}
	log := newLog(target, "log", options)
	for i := range dueTail { // enough for a snapshot
		appendAll(t, log, publication(t, fmt.Sprintf("b-%02d", i), c.Now(), "1"))
	}
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := log.Compact(t.Context(), view); !wrote || err != nil {
		t.Fatalf("wrote a snapshot: %t, %v", wrote, err)
	}
	if _, err := log.Read(t.Context()); err != nil { // sees the copy listed
		t.Fatal(err)
	}
	appendAll(t, log, publication(t, "c", c.Now(), "1")) // and writes down what it saw
	target.delete(copied)
	target.delete(snapshotTags(t, target)...)
	options.Cache = nil
	for range 2 {
		if versions, vanished, _, err := read(t, target, options); err != nil || versions["a"] != "1" || len(vanished) > 0 {
			t.Errorf("shows %q, vanished %v, %v", versions["a"], vanished, err)
		}
	}
}

func snapshotTags(t *testing.T, target *memory) (tags []revision.Tag) {
	t.Helper()
	for _, text := range target.snapshots() {
		tag, _ := revision.ParseTag(text)
		tags = append(tags, tag)
	}
	return tags
}
