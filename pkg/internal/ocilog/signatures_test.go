package ocilog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/internal/revision"
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
	writer := newLog(target, "writer", Options{Now: c.Now})
	var tags []revision.Tag
	for i := range 40 {
		packed := publication(t, fmt.Sprintf("entry-%04d", i), c.Now(), "1")
		if err := writer.Append(t.Context(), packed, nil); err != nil {
			t.Fatal(err)
		}
		writer.AddSignatures(t.Context(), packed.Tag, fmt.Appendf(nil, `{"n": %d}`, i))
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
		log := newLog(target, "reader", options)
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
	tag := func() revision.Tag {
		view, err := newLog(target, "x", Options{}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return view.Tags()[0]
	}()
	cache := NewCache(t.TempDir(), 0)
	options := Options{Cache: cache, Now: c.Now, Signatures: true}
	first := newLog(target, "log", options)
	live(t, first)
	first.AddSignatures(t.Context(), tag, []byte(`{"a":1}`), []byte(`{ "a": 1 }`), []byte("no JSON"), []byte(`{"b":2}`))
	if err := first.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := newLog(target, "log", options)
	live(t, second)
	if diff := cmp.Diff([]string{`{"a":1}`, `{"b":2}`}, texts(second.Signatures(tag))); diff != "" {
		t.Errorf("from the cache:\n%s", diff)
	}
	// The next snapshot merges the small segment.
	for i := range 40 {
		if err := second.Append(t.Context(), publication(t, fmt.Sprintf("more-%04d", i), c.Now(), "1"), nil); err != nil {
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
	stranger := newLog(target, "log", Options{Signatures: true})
	live(t, stranger)
	if diff := cmp.Diff([]string{`{"a":1}`, `{"b":2}`}, texts(stranger.Signatures(tag))); diff != "" {
		t.Errorf("from the snapshot:\n%s", diff)
	}
	if second.known.added != 0 {
		t.Errorf("%d are still kept for the next snapshot", second.known.added)
	}
}

// A process that does not look at signatures does not lose those of others.
func TestTheCacheKeepsSignatures(t *testing.T) {
	target, c, cache := newMemory(), &clock{}, NewCache(t.TempDir(), 0)
	packed := publication(t, "a", c.Now(), "1")
	first := newLog(target, "log", Options{Cache: cache, Now: c.Now})
	if err := first.Append(t.Context(), packed, nil); err != nil {
		t.Fatal(err)
	}
	first.AddSignatures(t.Context(), packed.Tag, []byte(`{"a":1}`))
	if err := first.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := newLog(target, "log", Options{Cache: cache, Now: c.Now})
	if err := second.Append(t.Context(), publication(t, "b", c.Now(), "1"), nil); err != nil {
		t.Fatal(err)
	}
	live(t, second)
	third := newLog(target, "log", Options{Cache: cache, Signatures: true})
	live(t, third)
	if diff := cmp.Diff([]string{`{"a":1}`}, texts(third.Signatures(packed.Tag))); diff != "" {
		t.Error(diff)
	}
}

// What is not kept does not count: else one snapshot full of signatures would be
// the last of which any are kept.
func TestSignaturesThatAreNotKeptDoNotCount(t *testing.T) {
	log := newLog(newMemory(), "log", Options{Signatures: true})
	large := jsontext.Value(`"` + strings.Repeat("x", maxSignatureBytes-2) + `"`)
	var kept int
	for i := range 2 * maxCarriedBytes / maxSignatureBytes {
		tag := publication(t, fmt.Sprintf("large-%d", i), epoch, "1").Tag
		for range 2 { // a segment may be read again
			log.recordSignatures(tag, []jsontext.Value{large})
		}
		kept += len(log.Signatures(tag))
	}
	if want := maxCarriedBytes / maxSignatureBytes; kept != want {
		t.Errorf("%d large signatures are kept, want %d", kept, want)
	}
	log.known.carriedBytes -= len(large) // as much room as one of them takes
	tag := publication(t, "small", epoch, "1").Tag
	log.recordSignatures(tag, []jsontext.Value{jsontext.Value(`{"a":1}`)})
	if n := len(log.Signatures(tag)); n != 1 {
		t.Errorf("%d signatures are kept after those that were not, want 1", n)
	}
}

func TestSignaturesAreBounded(t *testing.T) {
	log := newLog(newMemory(), "log", Options{})
	packed := publication(t, "a", epoch, "1")
	for i := range 3 * maxSignatures {
		log.AddSignatures(t.Context(), packed.Tag, fmt.Appendf(nil, `{"n":%d}`, i))
	}
	if n := len(log.Signatures(packed.Tag)); n != maxSignatures {
		t.Errorf("%d signatures, want %d", n, maxSignatures)
	}
	other := publication(t, "b", epoch, "1")
	log.AddSignatures(t.Context(), other.Tag, []byte(`"`+strings.Repeat("x", maxSignatureBytes)+`"`))
	if n := len(log.Signatures(other.Tag)); n != 0 {
		t.Errorf("%d signatures of half a megabyte", n)
	}
}
