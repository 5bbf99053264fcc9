package ocilog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

func texts(values []jsontext.Value) (all []string) {
	for _, value := range values {
		all = append(all, string(value))
	}
	return all
}

// What one process found of signatures reaches the readers of its next
// snapshot, without a request more.
func TestSignaturesTravelInSnapshots(t *testing.T) {
	target, c := newMemory(), &clock{}
	writer := New(target, "writer", Options{Now: c.Now})
	var tags []entry.Tag
	for i := range 40 {
		packed := publication(t, fmt.Sprintf("entry-%04d", i), c.Now(), "1")
		if err := writer.Append(t.Context(), packed); err != nil {
			t.Fatal(err)
		}
		writer.AddSignatures(packed.Tag, fmt.Appendf(nil, `{"n": %d}`, i))
		tags = append(tags, packed.Tag)
	}
	view, err := writer.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := writer.Compact(t.Context(), view); !wrote || err != nil {
		t.Fatalf("%t, %v", wrote, err)
	}
	read := func(options Options) (*Log, map[string]int) {
		log := New(target, "reader", options)
		return log, target.counted(func() { live(t, log) })
	}
	plain, without := read(Options{})
	keeping, with := read(Options{Signatures: true})
	if diff := cmp.Diff(without, with); diff != "" {
		t.Errorf("requests without and with signatures:\n%s", diff)
	}
	for i, tag := range tags {
		if diff := cmp.Diff([]string{fmt.Sprintf(`{"n":%d}`, i)}, texts(keeping.Signatures(tag))); diff != "" {
			t.Errorf("%s:\n%s", tag, diff)
		}
	}
	if found := plain.Signatures(tags[0]); found != nil {
		t.Errorf("kept without being asked: %s", found)
	}
}

// What was signed after it was in a snapshot is carried by the next one that
// rewrites its record, and until then by the cache.
func TestSignaturesAreAdded(t *testing.T) {
	target, c := newMemory(), &clock{}
	fill(t, target, c, 32)
	tag := func() entry.Tag {
		view, err := New(target, "x", Options{}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return view.Tags()[0]
	}()
	cache := NewCache(t.TempDir(), 0)
	options := Options{Cache: cache, Now: c.Now, Signatures: true}
	first := New(target, "log", options)
	live(t, first)
	first.AddSignatures(tag, []byte(`{"a":1}`), []byte(`{ "a": 1 }`), []byte("no JSON"), []byte(`{"b":2}`))
	second := New(target, "log", options)
	live(t, second)
	if diff := cmp.Diff([]string{`{"a":1}`, `{"b":2}`}, texts(second.Signatures(tag))); diff != "" {
		t.Errorf("from the cache:\n%s", diff)
	}
	// The next snapshot merges the small segment.
	for i := range 40 {
		if err := second.Append(t.Context(), publication(t, fmt.Sprintf("more-%04d", i), c.Now(), "1")); err != nil {
			t.Fatal(err)
		}
	}
	view, err := second.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := second.Compact(t.Context(), view); !wrote || err != nil {
		t.Fatalf("%t, %v", wrote, err)
	}
	stranger := New(target, "log", Options{Signatures: true})
	live(t, stranger)
	if diff := cmp.Diff([]string{`{"a":1}`, `{"b":2}`}, texts(stranger.Signatures(tag))); diff != "" {
		t.Errorf("from the snapshot:\n%s", diff)
	}
	if len(second.added) != 0 {
		t.Errorf("still kept for the next snapshot: %v", second.added)
	}
}

// A process that does not look at signatures does not lose those of others.
func TestTheCacheKeepsSignatures(t *testing.T) {
	target, c, cache := newMemory(), &clock{}, NewCache(t.TempDir(), 0)
	packed := publication(t, "a", c.Now(), "1")
	first := New(target, "log", Options{Cache: cache, Now: c.Now})
	if err := first.Append(t.Context(), packed); err != nil {
		t.Fatal(err)
	}
	first.AddSignatures(packed.Tag, []byte(`{"a":1}`))
	second := New(target, "log", Options{Cache: cache, Now: c.Now})
	if err := second.Append(t.Context(), publication(t, "b", c.Now(), "1")); err != nil {
		t.Fatal(err)
	}
	live(t, second)
	third := New(target, "log", Options{Cache: cache, Signatures: true})
	live(t, third)
	if diff := cmp.Diff([]string{`{"a":1}`}, texts(third.Signatures(packed.Tag))); diff != "" {
		t.Error(diff)
	}
}

func TestSignaturesAreBounded(t *testing.T) {
	log := New(newMemory(), "log", Options{})
	packed := publication(t, "a", epoch, "1")
	for i := range 3 * maxSignatures {
		log.AddSignatures(packed.Tag, fmt.Appendf(nil, `{"n":%d}`, i))
	}
	if n := len(log.Signatures(packed.Tag)); n != maxSignatures {
		t.Errorf("%d signatures, want %d", n, maxSignatures)
	}
	other := publication(t, "b", epoch, "1")
	log.AddSignatures(other.Tag, []byte(`"`+strings.Repeat("x", maxSignatureBytes)+`"`))
	if n := len(log.Signatures(other.Tag)); n != 0 {
		t.Errorf("%d signatures of half a megabyte", n)
	}
}

// Whoever demands signatures can see what was deleted behind the head.
func TestDeleted(t *testing.T) {
	for _, covered := range []bool{false, true} {
		t.Run(fmt.Sprintf("in a snapshot %t", covered), func(t *testing.T) {
			target, c, cache := newMemory(), &clock{}, NewCache(t.TempDir(), 0)
			if covered {
				fill(t, target, c, 31)
			}
			writer := New(target, "log", Options{Now: c.Now, Cache: cache})
			var packed []*entry.Packed
			for _, p := range []*entry.Packed{publication(t, "a", c.Now(), "1"), publication(t, "a", c.Now(), "2"), removal(t, "a", c.Now())} {
				view, err := writer.Read(t.Context())
				if err == nil {
					err = writer.Append(t.Context(), p)
				}
				if err == nil {
					_, err = writer.Compact(t.Context(), view)
				}
				if err != nil {
					t.Fatal(err)
				}
				packed = append(packed, p)
			}
			if covered {
				cache = nil
				if len(target.snapshots()) == 0 {
					t.Fatal("no snapshot")
				}
			}
			delete(target.tags, packed[2].Tag.String()) // the removal: the entry is back
			delete(target.tags, packed[0].Tag.String()) // behind the head: no matter
			view, err := New(target, "log", Options{Cache: cache}).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			deleted, err := view.Deleted(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, revision := range deleted {
				got = append(got, revision.Tag.String())
			}
			want := []string{packed[2].Tag.String()}
			if covered {
				want = nil // the last one was not in the snapshot of the 32nd
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			head, err := view.Head(t.Context(), "a", time.Time{})
			if err != nil || head.Document == nil || head.Document.Version != "2" {
				t.Errorf("head %+v, %v", head, err)
			}
			if none, err := view.Deleted(t.Context(), "b"); err != nil || len(none) != 0 {
				t.Errorf("of another name: %v, %v", none, err)
			}
		})
	}
}

func TestDeletedBehindASnapshot(t *testing.T) {
	target, c := newMemory(), &clock{}
	writer := New(target, "log", Options{Now: c.Now})
	old, newer := publication(t, "a", c.Now(), "1"), publication(t, "a", c.Now(), "2")
	for _, p := range []*entry.Packed{old, newer} {
		if err := writer.Append(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	writer.AddSignatures(newer.Tag, []byte(`{"a":1}`))
	for i := range 32 {
		if err := writer.Append(t.Context(), publication(t, fmt.Sprintf("b%d", i), c.Now(), "1")); err != nil {
			t.Fatal(err)
		}
	}
	view, err := writer.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrote, err := writer.Compact(t.Context(), view); !wrote || err != nil {
		t.Fatalf("%t, %v", wrote, err)
	}
	delete(target.tags, newer.Tag.String())
	reader := New(target, "log", Options{Signatures: true})
	if view, err = reader.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	deleted, err := view.Deleted(t.Context(), "a")
	if err != nil || len(deleted) != 1 || deleted[0].Tag != newer.Tag || deleted[0].Digest != newer.Descriptor.Digest {
		t.Errorf("%+v, %v", deleted, err)
	}
	if diff := cmp.Diff([]string{`{"a":1}`}, texts(reader.Signatures(newer.Tag))); diff != "" {
		t.Error(diff)
	}
}
