package ocilog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func TestCopyTakesBlobsOfALaterFormat(t *testing.T) {
	from, to := newMemory(), newMemory()
	document := []byte("what version 9 says")
	packed := laterFormat(t, "a", after(2), document)
	put(t, from, publication(t, "a", after(1), "1"), packed)
	from.blobs[digest.FromBytes(document)] = document
	result := mustCopy(t, from, to, CopyOptions{})
	if diff := cmp.Diff(from.revisionTags(), to.revisionTags()); diff != "" || len(result.Kept) != 0 {
		t.Errorf("kept back %v; %s", result.Kept, diff)
	}
	if got := to.blobs[digest.FromBytes(document)]; string(got) != string(document) {
		t.Errorf("the destination has the blob %q, want %q", got, document)
	}
	if got := shownVersion(t, to, "a"); got != "" {
		t.Errorf("version %q is shown, want none: a later format decides", got)
	}
}

// A reader that saw a later state copies no older one in its place.
func TestCopyKeepsBackWhatVanished(t *testing.T) {
	from, to := newMemory(), newMemory()
	all := append(lived(t, "a"), lived(t, "b")...)
	put(t, from, all...)
	log := newLog(from, "from", Options{})
	live(t, log)
	for _, packed := range []*revision.Packed{all[4], all[7]} { // the head of a, a superseded one of b
		delete(from.tags, packed.Tag.String())
	}
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	result, err := Copy(t.Context(), view, newLog(to, "to", Options{}), CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Kept) != 1 || result.Kept[0].Name != "a" || !errors.Is(result.Kept[0].Err, entry.ErrUnreachable) || result.Copied != 4 {
		t.Errorf("result %+v, want 4 copied and a kept back", result)
	}
	if got := shownVersion(t, to, "a") + shownVersion(t, to, "b"); got != "4" {
		t.Errorf("versions %q of a and b are shown, want none and 4", got)
	}
}

func TestCopyLeavesOutTheFarFuture(t *testing.T) {
	from, to := newMemory(), newMemory()
	put(t, from, publication(t, "a", after(1), "1"), publication(t, "a", time.Now().Add(2*maxAhead), "2"))
	result := mustCopy(t, from, to, CopyOptions{})
	if result.Copied != 1 || len(to.revisionTags()) != 1 || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0].Error(), "more than a day ahead") {
		t.Errorf("result %+v", result)
	}
}

// Somebody else's record of what never stood at the source is no reason to copy it.
func TestCopyOnlyWhatStands(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, &clock{}, 40)
	gone, hidden, superseded := "entry-0003", "entry-0004", "entry-0005"
	put(t, from, publication(t, superseded, after(100), "2"))
	for tag, sum := range from.tags {
		if strings.HasPrefix(tag, gone+".") || strings.HasPrefix(tag, superseded+".") && sum != publication(t, superseded, after(100), "2").Descriptor.Digest {
			delete(from.tags, tag)
		}
	}
	from.hide = func(tag string) bool { return strings.HasPrefix(tag, hidden+".") }
	if result := mustCopy(t, from, to, CopyOptions{}); result.Copied != 39 || len(to.revisionTags()) != 39 || len(result.Kept) != 0 {
		t.Errorf("result %+v, and %d tags, want 39 copied", result, len(to.revisionTags()))
	}
	if gone, hidden := shownVersion(t, to, gone), shownVersion(t, to, hidden); gone != "" || hidden != "1" {
		t.Errorf("the version %q of what is gone is shown, and %q of what the list leaves out", gone, hidden)
	}
}

func TestCopyTakesTheNewestStatus(t *testing.T) {
	from, to := newMemory(), newMemory()
	put(t, from, publication(t, "a", after(1), "1"))
	log := newLog(from, "from", Options{})
	var last Statuses
	for range 2 {
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last, err = log.WriteStatuses(t.Context(), view, []*entry.Status{{
			Name: "a", Revision: digest.FromString("a"), Phase: entry.PhaseAvailable, LastVerified: entry.NewTime(epoch), Since: entry.NewTime(epoch),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if result := mustCopy(t, from, to, CopyOptions{Select: func(string) bool { return true }}); result.Status {
		t.Error("a copy of some names tells of the statuses of all")
	}
	for i, want := range []bool{true, false} {
		if result := mustCopy(t, from, to, CopyOptions{}); result.Status != want {
			t.Errorf("copy %d: a status was copied: %t, want %t", i+1, result.Status, want)
		}
	}
	var got []string
	for tag := range to.tags {
		if strings.HasPrefix(tag, revision.StatusName) {
			got = append(got, tag)
		}
	}
	if diff := cmp.Diff([]string{last.Tag.String()}, got); diff != "" {
		t.Error(diff)
	}
	view, err := newLog(to, "to", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if read := view.Statuses(t.Context()); read.Tag != last.Tag || read.ByName["a"] == nil {
		t.Errorf("the destination's statuses are %+v", read)
	}
}

// What snapshots of the source carry of signatures is there for who copies, with no
// option set, and in the destination's snapshot, with what was found beside.
func TestCopyCarriesSignatures(t *testing.T) {
	from, to, c := newMemory(), newMemory(), &clock{}
	writer := newLog(from, "writer", Options{Now: c.Now})
	var tags []revision.Tag
	for i := range 40 {
		packed := publication(t, fmt.Sprintf("entry-%04d", i), c.Now(), "1")
		appendAll(t, writer, packed)
		writer.AddSignatures(t.Context(), packed.Tag, fmt.Appendf(nil, `{"n":%d}`, i))
		tags = append(tags, packed.Tag)
	}
	view, err := writer.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := writer.Compact(t.Context(), view); !wrote || err != nil {
		t.Fatalf("%t, %v", wrote, err)
	}
	late := publication(t, "late", after(100), "1")
	put(t, from, late)
	if view, err = newLog(from, "from", Options{}).Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen, looked := make(chan string, 100), make(chan revision.Tag, 100)
	destination := newLog(to, "to", Options{Lookup: func(_ context.Context, tag revision.Tag, _ digest.Digest) [][]byte {
		looked <- tag
		return nil
	}})
	_, err = Copy(t.Context(), view, destination, CopyOptions{Before: func(ctx context.Context, item *CopyItem) error {
		for _, s := range texts(item.Signatures) {
			seen <- s
		}
		if item.Revision.Tag == late.Tag {
			destination.AddSignatures(ctx, late.Tag, []byte(`{"found":true}`))
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	close(seen)
	if n := len(seen); n != 40 {
		t.Errorf("%d signatures were there before the revisions were copied, want 40", n)
	}
	if n := len(looked); n != 0 {
		t.Errorf("the destination was asked for the signatures of %d revisions that it did not have", n)
	}
	reader := newLog(to, "reader", Options{Signatures: true})
	live(t, reader)
	for i, tag := range append(tags, late.Tag) {
		want := fmt.Sprintf(`{"n":%d}`, i)
		if tag == late.Tag {
			want = `{"found":true}`
		}
		if diff := cmp.Diff([]string{want}, texts(reader.Signatures(tag))); diff != "" {
			t.Errorf("signatures of %s in the destination's snapshot: %s", tag, diff)
		}
	}
}

func TestPutUntagged(t *testing.T) {
	from, to := newMemory(), newMemory()
	packed := publication(t, "a", after(1), "1")
	put(t, from, packed)
	mustCopy(t, from, to, CopyOptions{Before: func(ctx context.Context, item *CopyItem) error {
		if err := item.PutUntagged(ctx); err != nil {
			return err
		}
		to.mu.Lock()
		defer to.mu.Unlock()
		if to.manifests[packed.Descriptor.Digest] == nil || len(to.blobs) != 2 || len(to.tags) != 0 {
			t.Errorf("%d blobs and %d tags, want 2 and none", len(to.blobs), len(to.tags))
		}
		return nil
	}})
	if _, ok := to.tags[packed.Tag.String()]; !ok {
		t.Error("the revision is not copied")
	}
}

// A plan says what is written, and writes nothing.
func TestPlanCopyWritesNothing(t *testing.T) {
	from, to := newMemory(), newMemory()
	all := lived(t, "a")
	put(t, from, all...)
	put(t, to, all[3])
	before := to.revisionTags()
	view, err := newLog(from, "from", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := PlanCopy(t.Context(), view, newLog(to, "to", Options{}), CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := plan.Names[0]
	want := []revision.Tag{all[4].Tag, all[1].Tag, all[2].Tag, all[0].Tag}
	if diff := cmp.Diff(want, n.Write); diff != "" || len(plan.Names) != 1 || n.Present != 1 || n.Head.Tag != all[4].Tag || n.Kept != nil {
		t.Errorf("plan %+v: %s", n, diff)
	}
	if diff := cmp.Diff(before, to.revisionTags()); diff != "" {
		t.Error(diff)
	}
	if slices.Contains(n.Write, all[3].Tag) {
		t.Error("what the destination has is to be written")
	}
}

// A removal of which nobody knows any more what it was ends what came before it all the
// same: that is not copied, and said.
func TestCopyLeavesOutWhatALostRemovalEnded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options CopyOptions
	}{{"all", CopyOptions{}}, {"of many versions", CopyOptions{Versions: 3}}} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := newMemory(), newMemory()
			all := lived(t, "a")
			put(t, from, all...)
			from.overwrite(all[1].Tag)
			result := mustCopy(t, from, to, tt.options)
			var got []string
			for tag := range to.revisionTags() {
				got = append(got, tag)
			}
			slices.Sort(got)
			if diff := cmp.Diff([]string{all[2].Tag.String(), all[3].Tag.String(), all[4].Tag.String()}, got); diff != "" {
				t.Error(diff)
			}
			if len(result.Kept) != 1 || result.Kept[0].Tag != all[1].Tag || !errors.Is(result.Kept[0].Err, entry.ErrMalformed) {
				t.Errorf("kept back %+v, want the removal %s", result.Kept, all[1].Tag)
			}
		})
	}
}

// What the destination lists and does not have is written.
func TestCopyWritesWhatIsOnlyListed(t *testing.T) {
	from, to := newMemory(), newMemory()
	all := lived(t, "a")
	put(t, from, all...)
	head := all[4].Tag.String()
	to.tags[head] = all[4].Descriptor.Digest
	gone := true
	to.failOn = func(operation, reference string) error {
		if reference == head && operation == "push manifest" {
			gone = false
		}
		if reference == head && gone {
			return fmt.Errorf("%s: %w", head, entry.ErrNotFound)
		}
		return nil
	}
	result := mustCopy(t, from, to, CopyOptions{})
	if diff := cmp.Diff(from.revisionTags(), to.revisionTags()); diff != "" || gone || result.Copied != 5 {
		t.Errorf("result %+v: %s", result, diff)
	}
}

// A snapshot of the destination hides from who copies that its tags hold other bytes. A
// reader that does not go by it must not be shown what is older.
func TestCopyBelievesNoSnapshotOfTheDestination(t *testing.T) {
	from, to := newMemory(), newMemory()
	all := lived(t, "a")
	put(t, from, all...)
	mustCopy(t, from, to, CopyOptions{Versions: 1})
	to.overwrite(all[4].Tag)
	result := mustCopy(t, from, to, CopyOptions{})
	if len(result.Kept) != 1 || !errors.Is(result.Kept[0].Err, entry.ErrMalformed) || result.Copied != 0 {
		t.Errorf("result %+v, want a kept back", result)
	}
}

// What a destination lost is no reason not to copy into it: that is how it comes back.
func TestCopyIntoWhatWasLost(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, &clock{}, 40)
	view, err := newLog(from, "from", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	destination := newLog(to, "to", Options{})
	for range 2 {
		if result, err := Copy(t.Context(), view, destination, CopyOptions{}); err != nil || result.Copied != 40 {
			t.Fatalf("%d revisions are copied, error %v, want 40", result.Copied, err)
		}
		clear(to.tags)
	}
}

// A destination with another clock takes nothing that its readers take for the far future,
// nor a copy by somebody whose clock is wrong.
func TestCopyMindsTheDestinationsClock(t *testing.T) {
	from, to := newMemory(), newMemory()
	put(t, from, publication(t, "a", after(0), "1"), publication(t, "a", after(10), "2"))
	ahead := func() time.Time { return after(0).Add(-maxAhead + 5*time.Second) }
	view, err := newLog(from, "from", Options{Now: func() time.Time { return after(20) }}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	result, err := Copy(t.Context(), view, newLog(to, "to", Options{Now: ahead}), CopyOptions{})
	if err != nil || len(result.Kept) != 1 || result.Copied != 0 || !errors.Is(result.Kept[0].Err, entry.ErrInvalid) {
		t.Errorf("result %+v, error %v, want a kept back", result, err)
	}
	late := clockedMemory{to, after(0).Add(2 * maxSkew)}
	var wrong *ClockError
	if _, err = Copy(t.Context(), view, newLog(late, "to", Options{Now: func() time.Time { return after(0) }}), CopyOptions{}); !errors.As(err, &wrong) {
		t.Errorf("error %v, want a *ClockError", err)
	}
	if len(to.tags) != 0 {
		t.Errorf("the destination has %v, want nothing", to.tags)
	}
}

// clockedMemory is a repository of a registry that says what time it is.
type clockedMemory struct {
	*memory
	at time.Time
}

func (d clockedMemory) Date() time.Time { return d.at }

// What only a policy lets decide is copied with what decides for readers without one, and
// that comes before anything older.
func TestCopyOfTheVerifiedFuture(t *testing.T) {
	from, to := newMemory(), newMemory()
	all := lived(t, "a")
	far := publication(t, "a", time.Now().Add(2*maxAhead), "5")
	put(t, from, append(all, far)...)
	signed := Options{HasEntrySignatures: func(_ context.Context, r *revision.Revision) bool { return r.Digest == far.Descriptor.Digest }}
	view, err := newLog(from, "from", signed).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := to.pushes()
	if _, err := Copy(t.Context(), view, newLog(to, "to", signed), CopyOptions{Versions: 1, Parallel: 1}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{far.Tag.String(), all[4].Tag.String(), all[1].Tag.String()}, *got); diff != "" {
		t.Error(diff)
	}
}

// Somebody may overwrite a tag at the moment it is written.
func TestCopyNoticesAnOverwrittenTag(t *testing.T) {
	from, to := newMemory(), newMemory()
	all := lived(t, "a")
	put(t, from, append(all, lived(t, "b")...)...)
	to.failOn = func(operation, reference string) error {
		if operation == "resolve" && reference == all[4].Tag.String() {
			to.overwrite(all[4].Tag)
		}
		return nil
	}
	result := mustCopy(t, from, to, CopyOptions{})
	if len(result.Kept) != 1 || result.Kept[0].Tag != all[4].Tag || !errors.Is(result.Kept[0].Err, entry.ErrConflict) || result.Copied != 5 {
		t.Errorf("result %+v, want all of b copied, and a kept back", result)
	}
}
