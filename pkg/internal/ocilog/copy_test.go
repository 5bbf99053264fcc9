package ocilog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// put appends revisions to a repository as their writers do.
func put(t testing.TB, target *memory, all ...*revision.Packed) {
	t.Helper()
	log := newLog(target, "put", Options{})
	for _, packed := range all {
		if err := log.Append(t.Context(), packed, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// after is a time of the log.
func after(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// lived is a name with a past: published, removed, and published three times again.
func lived(t testing.TB, name string) []*revision.Packed {
	return []*revision.Packed{
		publication(t, name, after(1), "1"),
		removal(t, name, after(2)),
		publication(t, name, after(3), "2"),
		publication(t, name, after(4), "3"),
		publication(t, name, after(5), "4"),
	}
}

// copyInto copies a repository into another one, as new processes with no state do.
func copyInto(t testing.TB, from, to *memory, options CopyOptions) (CopyResult, error) {
	t.Helper()
	view, err := newLog(from, "from", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return Copy(t.Context(), view, newLog(to, "to", Options{Visible: 500 * time.Millisecond}), options)
}

func mustCopy(t testing.TB, from, to *memory, options CopyOptions) CopyResult {
	t.Helper()
	result, err := copyInto(t, from, to, options)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// revisionTags returns what stands under the tags of revisions.
func (m *memory) revisionTags() map[string]digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	tags := maps.Clone(m.tags)
	maps.DeleteFunc(tags, func(tag string, _ digest.Digest) bool { return strings.HasPrefix(tag, "_") })
	return tags
}

func TestCopyIsTheUnion(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, &clock{}, 70) // most of them in snapshots
	put(t, from, lived(t, "old")...)
	put(t, from, removal(t, "entry-0001", after(9)))
	put(t, to, publication(t, "own", after(1), "1"), removal(t, "entry-0002", after(9)))
	want := from.revisionTags()
	maps.Copy(want, to.revisionTags())

	result := mustCopy(t, from, to, CopyOptions{})
	if diff := cmp.Diff(want, to.revisionTags()); diff != "" {
		t.Errorf("the destination: %s", diff)
	}
	for tag, sum := range want {
		if string(to.manifests[sum]) == "" || from.tags[tag] != "" && string(to.manifests[sum]) != string(from.manifests[sum]) {
			t.Errorf("the manifest under %s is not the one of the source", tag)
		}
	}
	if result.Copied != 76 || result.Present != 0 || !result.Snapshot || len(result.Kept) != 0 || len(result.Warnings) != 0 {
		t.Errorf("result %+v", result)
	}
	names, warnings := live(t, newLog(to, "test", Options{}))
	if len(names) != 70 || slices.Contains(names, "entry-0001") || slices.Contains(names, "entry-0002") || len(warnings) != 0 {
		t.Errorf("%d live names %q; warnings %v", len(names), names, warnings)
	}
}

func TestCopyAgainCopiesNothing(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, &clock{}, 40)
	mustCopy(t, from, to, CopyOptions{})
	source, destination := newLog(from, "from", Options{}), newLog(to, "to", Options{})
	again := func() (result CopyResult) {
		view, err := source.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if result, err = Copy(t.Context(), view, destination, CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		return result
	}
	again()
	before := maps.Clone(to.tags)
	var result CopyResult
	var asked map[string]int
	made := to.counted(func() { asked = from.counted(func() { result = again() }) })
	if diff := cmp.Diff(CopyResult{Present: 40}, result); diff != "" {
		t.Error(diff)
	}
	one := map[string]int{"tags": 1}
	if diff := cmp.Diff(map[string]map[string]int{"source": one, "destination": one}, map[string]map[string]int{"source": asked, "destination": made}); diff != "" {
		t.Errorf("requests: %s", diff)
	}
	if diff := cmp.Diff(before, to.tags); diff != "" {
		t.Errorf("the second copy changed the destination: %s", diff)
	}
}

func TestCopyReadsTheSnapshot(t *testing.T) {
	from := newMemory()
	fill(t, from, &clock{}, 300)
	covered, tail := 0, 0
	view, err := newLog(from, "count", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range view.tags {
		if f, _ := view.log.known.get(tag); len(f.segments) > 0 {
			covered++
		} else {
			tail++
		}
	}
	if covered == 0 || tail == 0 {
		t.Fatalf("%d revisions are in snapshots and %d are not: want some of each", covered, tail)
	}
	asked := 0
	for _, n := range from.counted(func() { mustCopy(t, from, newMemory(), CopyOptions{}) }) {
		asked += n
	}
	if asked > 20+tail {
		t.Errorf("the source was asked %d times for %d revisions in snapshots and %d others, want at most %d", asked, covered, tail, 20+tail)
	}
}

// pushes records the tags of revisions in the order they are pushed in.
func (m *memory) pushes() *[]string {
	pushed := &[]string{}
	m.failOn = func(operation, reference string) error {
		if tag, ok := revision.ParseTag(reference); ok && operation == "push manifest" && tag.Op != revision.OpSnapshot {
			*pushed = append(*pushed, reference)
		}
		return nil
	}
	return pushed
}

func TestCopyOrderAndFilters(t *testing.T) {
	a, b := lived(t, "a"), lived(t, "b")
	all := func(which ...*revision.Packed) (tags []string) {
		for _, packed := range which {
			tags = append(tags, packed.Tag.String())
		}
		return tags
	}
	first := all(a[4], b[4], a[1], b[1])
	rest := slices.Sorted(slices.Values(all(a[0], a[2], a[3], b[0], b[2], b[3])))
	slices.SortFunc(rest, func(x, y string) int {
		m, _ := revision.ParseTag(x)
		n, _ := revision.ParseTag(y)
		return n.Compare(m)
	})
	for _, tt := range []struct {
		name    string
		have    []*revision.Packed
		options CopyOptions
		want    []string
	}{
		{"all", nil, CopyOptions{}, slices.Concat(first, rest)},
		{"one name", nil, CopyOptions{Select: func(name string) bool { return name == "a" }}, all(a[4], a[1], a[3], a[2], a[0])},
		{"the names that the destination has", b[:1], CopyOptions{Select: func(string) bool { return false }}, all(b[4], b[1], b[3], b[2])},
		{"one version", nil, CopyOptions{Versions: 1}, first},
		{"two versions", nil, CopyOptions{Versions: 2}, slices.Concat(first, all(b[3], a[3]))},
		{"four versions", nil, CopyOptions{Versions: 4}, slices.Concat(first, rest)},
		{"since", nil, CopyOptions{Since: after(4)}, slices.Concat(first, all(b[3], a[3]))},
		{"since the future", nil, CopyOptions{Since: after(100)}, first},
		{"versions and since", nil, CopyOptions{Since: after(3), Versions: 2}, slices.Concat(first, all(b[3], a[3]))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := newMemory(), newMemory()
			put(t, from, slices.Concat(a, b)...)
			put(t, to, tt.have...)
			got := to.pushes()
			tt.options.Parallel = 1
			mustCopy(t, from, to, tt.options)
			if len(tt.want) > 6 && len(*got) == len(tt.want) { // ties of the two names are in any order
				slices.Sort((*got)[4:])
				tt.want = slices.Clone(tt.want)
				slices.Sort(tt.want[4:])
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is cut off, no reader sees what is superseded or removed, and the next copy
// makes what an undisturbed one makes.
func TestCopyIsCutOff(t *testing.T) {
	from, undisturbed := newMemory(), newMemory()
	put(t, from, slices.Concat(lived(t, "a"), lived(t, "b"), lived(t, "gone"))...)
	put(t, from, removal(t, "gone", after(6)))
	mustCopy(t, from, undisturbed, CopyOptions{})
	have := []*revision.Packed{lived(t, "a")[0], lived(t, "gone")[3]}
	for cut := 0; ; cut++ {
		to := newMemory()
		put(t, to, have...)
		writes, done := 0, true
		to.failOn = func(operation, _ string) error {
			if strings.HasPrefix(operation, "push") {
				if writes++; writes > cut {
					done = false
					return entry.ErrUnreachable
				}
			}
			return nil
		}
		_, err := copyInto(t, from, to, CopyOptions{Parallel: 1})
		to.failOn = nil
		states := map[string][]string{"a": {"1", "4"}, "b": {"", "4"}, "gone": {"3", ""}}
		for name, allowed := range states {
			if got := shownVersion(t, to, name); !slices.Contains(allowed, got) {
				t.Errorf("after %d writes version %q of %s is shown, want one of %q", cut, got, name, allowed)
			}
		}
		mustCopy(t, from, to, CopyOptions{})
		if diff := cmp.Diff(undisturbed.revisionTags(), to.revisionTags()); diff != "" {
			t.Errorf("after %d writes and a second copy: %s", cut, diff)
		}
		if len(to.snapshots()) != 1 {
			t.Errorf("after %d writes and a second copy there are the snapshots %q, want one", cut, to.snapshots())
		}
		if done {
			if err != nil || cut < 30 {
				t.Errorf("the copy was done after %d writes, error %v", cut, err)
			}
			return
		}
	}
}

// shownVersion returns the version of a name that a new reader is shown, or "".
func shownVersion(t testing.TB, target *memory, name string) string {
	t.Helper()
	view, err := newLog(target, "test", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := view.Head(t.Context(), name, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if head == nil || !head.Live() {
		return ""
	}
	return head.Document.Version
}

var errRefused = errors.New("refused")

// keptBack are reasons to keep the name "a" back, or what is left of it.
func keptBack() []keptBackCase {
	return []keptBackCase{
		{"its head is refused", nil, CopyOptions{Refuse: func(_ context.Context, head *revision.Revision) error {
			if head.Tag.Name == "a" {
				return errRefused
			}
			return nil
		}}, nil, errRefused},
		{"before its head", nil, CopyOptions{Before: func(_ context.Context, item *CopyItem) error {
			if item.Revision.Tag.Name == "a" {
				return errRefused
			}
			return nil
		}}, nil, errRefused},
		{"before an older one", nil, CopyOptions{Parallel: 1, Before: func(_ context.Context, item *CopyItem) error {
			if d := item.Revision.Document; item.Revision.Tag.Name == "a" && d != nil && d.Version == "2" {
				return errRefused
			}
			return nil
		}}, []string{"1", "3", "4"}, errRefused},
		{"its head is overwritten at the source", func(t *testing.T, from, _ *memory) {
			from.overwrite(lived(t, "a")[4].Tag)
		}, CopyOptions{}, nil, entry.ErrMalformed},
		{"its head is overwritten at the destination", func(t *testing.T, _, to *memory) {
			put(t, to, lived(t, "a")[4])
			to.overwrite(lived(t, "a")[4].Tag)
		}, CopyOptions{}, []string{"4"}, entry.ErrMalformed},
		{"its last removal is overwritten at the destination", func(t *testing.T, _, to *memory) {
			put(t, to, lived(t, "a")[1])
			to.overwrite(lived(t, "a")[1].Tag)
		}, CopyOptions{}, []string{"1"}, entry.ErrMalformed},
		{"its head has no blob", func(t *testing.T, from, _ *memory) {
			put(t, from, laterFormat(t, "a", after(6), []byte("what version 9 says")))
		}, CopyOptions{}, nil, entry.ErrNotFound},
	}
}

type keptBackCase struct {
	name    string
	prepare func(t *testing.T, from, to *memory)
	options CopyOptions
	want    []string // of the revisions of "a", by their place in time
	is      error
}

func TestCopyKeepsNamesBack(t *testing.T) {
	for _, tt := range keptBack() {
		t.Run(tt.name, func(t *testing.T) {
			from, to := newMemory(), newMemory()
			put(t, from, slices.Concat(lived(t, "a"), lived(t, "b"))...)
			if tt.prepare != nil {
				tt.prepare(t, from, to)
			}
			result := mustCopy(t, from, to, tt.options)
			if len(result.Kept) != 1 || result.Kept[0].Name != "a" || !errors.Is(result.Kept[0].Err, tt.is) {
				t.Errorf("kept back %v, want a with %v", result.Kept, tt.is)
			}
			var got []string
			for _, tag := range slices.Sorted(maps.Keys(to.revisionTags())) {
				if tag, ok := revision.ParseTag(tag); ok && tag.Name == "a" {
					got = append(got, fmt.Sprint((tag.Millis-epoch.UnixMilli())/1000-1))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("revisions of a: %s", diff)
			}
			if got := shownVersion(t, to, "b"); got != "4" {
				t.Errorf("version %q of b is shown, want 4", got)
			}
		})
	}
}

// overwrite puts other bytes under a tag.
func (m *memory) overwrite(tag revision.Tag) {
	other := []byte(`{"schemaVersion":2}`)
	m.manifests[digest.FromBytes(other)] = other
	m.tags[tag.String()] = digest.FromBytes(other)
}

// laterFormat makes a publication that only a later version reads; its document is not
// embedded.
func laterFormat(t testing.TB, name string, at time.Time, document []byte) *revision.Packed {
	t.Helper()
	text := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"artifactType":"application/vnd.caib.catalog.entry.v9+json","config":{"mediaType":"application/vnd.oci.empty.v1+json",`+
		`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},`+
		`"layers":[{"mediaType":"application/vnd.caib.catalog.entry.v9+json","digest":%q,"size":%d}],`+
		`"annotations":{"org.opencontainers.image.created":%q,"org.opencontainers.image.title":%q}}`,
		digest.FromBytes(document), len(document), entry.NewTime(at), name)
	packed := publication(t, name, at, "9")
	packed.Manifest, packed.Blobs = text, nil
	packed.Descriptor.Digest, packed.Descriptor.Size = digest.FromBytes(text), int64(len(text))
	packed.Tag = revision.NewTag(name, entry.NewTime(at), revision.OpPublish, packed.Descriptor.Digest)
	if r, err := revision.Unpack(packed.Tag, text); err != nil || r.Later == "" {
		t.Fatalf("the revision of a later format is read as %+v, %v", r, err)
	}
	return packed
}
