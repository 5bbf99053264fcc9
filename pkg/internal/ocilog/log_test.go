package ocilog

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func TestRevisionsDecideInOrder(t *testing.T) {
	target, log := newMemory(), (*Log)(nil)
	log = newLog(target, "test", Options{})
	steps := []*revision.Packed{
		publication(t, "a", epoch, "1"),
		publication(t, "b", epoch, "1"),
		publication(t, "a", epoch.Add(time.Second), "2"),
		removal(t, "b", epoch.Add(2*time.Second)),
		publication(t, "c.d", epoch.Add(3*time.Second), "1"),
	}
	for _, step := range steps {
		if err := log.Append(t.Context(), step, nil); err != nil {
			t.Fatal(err)
		}
	}
	view, err := newLog(target, "test", Options{}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		asOf time.Time
		want []string
	}{
		{"now", time.Time{}, []string{"a 2", "c.d 1"}},
		{"at the first instant", epoch, []string{"a 1", "b 1"}},
		{"before it", epoch.Add(-time.Millisecond), nil},
		{"between publication and removal", epoch.Add(time.Second), []string{"a 2", "b 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			revisions, err := liveOf(t.Context(), view, tt.asOf)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range revisions {
				got = append(got, r.Document.Name+" "+r.Document.Version)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	history, err := view.History(t.Context(), "b")
	if err != nil || len(history) != 2 || history[1].Tag.Op != revision.OpRemove {
		t.Errorf("history of b: %v, %v", history, err)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	target, c := newMemory(), &clock{}
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			log := newLog(target, "test", Options{Now: c.Now})
			for i := range 25 {
				view, err := log.Read(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if err := log.Append(t.Context(), publication(t, fmt.Sprintf("w%d-e%02d", w, i), c.Now(), "1"), nil); err != nil {
					t.Error(err)
				}
				if _, err := log.Compact(t.Context(), view); err != nil {
					t.Error(err)
				}
			}
		})
	}
	testwait.Return(t, "the writers", group.Wait)
	names, warnings := live(t, newLog(target, "test", Options{}))
	if len(names) != 200 || len(warnings) != 0 {
		t.Errorf("%d live entries, want 200; warnings %v", len(names), warnings)
	}
}

func TestAppendReadsBack(t *testing.T) {
	packed := publication(t, "a", epoch, "1")
	never := func(operation, _ string) error {
		if operation == "resolve" {
			return entry.ErrNotFound
		}
		return nil
	}
	lagging := 3
	for _, tt := range []struct {
		name   string
		failOn func(operation, reference string) error
		want   error
	}{
		{"visible at once", nil, nil},
		{"visible after a while", func(operation, _ string) error {
			if operation == "resolve" && lagging > 0 {
				lagging--
				return entry.ErrNotFound
			}
			return nil
		}, nil},
		{"never visible", never, entry.ErrTimeout},
		{"registry away", func(operation, _ string) error {
			if operation == "resolve" {
				return entry.ErrUnreachable
			}
			return nil
		}, entry.ErrUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := newMemory()
			target.failOn = tt.failOn
			err := newLog(target, "test", Options{Visible: 500 * time.Millisecond}).Append(t.Context(), packed, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAppendNoticesAnOverwrittenTag(t *testing.T) {
	target := newMemory()
	mine, other := publication(t, "a", epoch, "1"), publication(t, "b", epoch, "1")
	target.failOn = func(operation, _ string) error {
		if operation == "resolve" {
			target.tags[mine.Tag.String()] = other.Descriptor.Digest
		}
		return nil
	}
	if err := newLog(target, "test", Options{}).Append(t.Context(), mine, nil); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("error %v, want a conflict", err)
	}
}

func TestWhatIsNoRevisionIsIgnored(t *testing.T) {
	a, b := publication(t, "a", epoch, "1"), publication(t, "b", epoch, "1")
	later := revision.NewTag("a", entry.NewTime(epoch.Add(time.Second)), revision.OpPublish, b.Descriptor.Digest)
	for _, tt := range []struct {
		name  string
		tag   string
		holds *revision.Packed
		warns bool
	}{
		{"a tag that holds another manifest", revision.NewTag("a", entry.NewTime(epoch.Add(time.Second)), revision.OpPublish, a.Descriptor.Digest).String(), b, true},
		{"a revision copied under another name", later.String(), b, true},
		{"a revision copied to another time", revision.NewTag("a", entry.NewTime(epoch.Add(time.Second)), revision.OpPublish, a.Descriptor.Digest).String(), a, true},
		{"a publication as a removal", revision.NewTag("a", entry.NewTime(epoch.Add(time.Second)), revision.OpRemove, a.Descriptor.Digest).String(), a, true},
		{"people's own tags", "latest", b, false},
		{"other tools' tags", "sha256-" + b.Descriptor.Digest.Encoded() + ".sig", b, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := newMemory()
			log := newLog(target, "test", Options{})
			if err := log.Append(t.Context(), a, nil); err != nil {
				t.Fatal(err)
			}
			if err := target.PushManifest(t.Context(), tt.holds.Descriptor, tt.holds.Manifest, tt.tag); err != nil {
				t.Fatal(err)
			}
			names, warnings := live(t, newLog(target, "test", Options{}))
			if diff := cmp.Diff([]string{"a"}, names); diff != "" {
				t.Error(diff)
			}
			if (len(warnings) > 0) != tt.warns {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

func TestACopyOfARevisionBringsNothingBack(t *testing.T) {
	target := newMemory()
	log := newLog(target, "test", Options{})
	a := publication(t, "a", epoch, "1")
	for _, step := range []*revision.Packed{a, removal(t, "a", epoch.Add(time.Second))} {
		if err := log.Append(t.Context(), step, nil); err != nil {
			t.Fatal(err)
		}
	}
	copied := revision.NewTag("a", entry.NewTime(epoch.Add(time.Minute)), revision.OpPublish, a.Descriptor.Digest)
	if err := target.PushManifest(t.Context(), a.Descriptor, a.Manifest, copied.String()); err != nil {
		t.Fatal(err)
	}
	for _, reading := range []string{"first", "second, with the manifest in the cache,"} {
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The history decodes the valid revision under its own tag.
		if _, err := view.History(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if revisions, err := liveOf(t.Context(), view, time.Time{}); err != nil || len(revisions) != 0 {
			t.Errorf("the %s reading: %d entries, %v", reading, len(revisions), err)
		}
	}
}

func TestWhatCannotBeAskedIsAnError(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 3)
	for _, operation := range []string{"tags", "manifest"} {
		target.failOn = func(op, _ string) error {
			if op == operation {
				return fmt.Errorf("down: %w", entry.ErrUnreachable)
			}
			return nil
		}
		view, err := newLog(target, "test", Options{}).Read(t.Context())
		if err == nil {
			_, err = liveOf(t.Context(), view, time.Time{})
		}
		if !errors.Is(err, entry.ErrUnreachable) {
			t.Errorf("%s fails: error %v, want unreachable", operation, err)
		}
	}
}

func TestLaterFormatsHideTheirName(t *testing.T) {
	target := newMemory()
	log := newLog(target, "test", Options{})
	if err := log.Append(t.Context(), publication(t, "a", epoch, "1"), nil); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(t.Context(), publication(t, "b", epoch, "1"), nil); err != nil {
		t.Fatal(err)
	}
	newer := publication(t, "a", epoch.Add(time.Second), "2")
	text := strings.ReplaceAll(string(newer.Manifest), revision.MediaTypeEntry, "application/vnd.caib.catalog.entry.v2+json")
	pushRaw(t, target, "a", epoch.Add(time.Second), text)
	names, warnings := live(t, newLog(target, "test", Options{}))
	if diff := cmp.Diff([]string{"b"}, names); diff != "" {
		t.Error(diff)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "later format") {
		t.Errorf("warnings %v", warnings)
	}
}

// pushRaw puts a hostile manifest under the tag that its digest asks for.
func pushRaw(t *testing.T, target *memory, name string, at time.Time, manifest string) {
	t.Helper()
	d := descriptorOf([]byte(manifest))
	tag := revision.NewTag(name, entry.NewTime(at), revision.OpPublish, d.Digest)
	if err := target.PushManifest(t.Context(), d, []byte(manifest), tag.String()); err != nil {
		t.Fatal(err)
	}
}
