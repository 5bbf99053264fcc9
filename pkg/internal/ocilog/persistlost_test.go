package ocilog

import (
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What the cache has of a head that is lost stays in it, however often the loss is
// noticed: it may be the last copy.
func TestALostHeadStaysInTheCache(t *testing.T) {
	target, dir := newMemory(), t.TempDir()
	fill(t, target, &clock{}, 3)
	open := func() *Log {
		return newLog(target, "lost", Options{Cache: NewCache(dir, 0), State: NewState(dir), Recheck: time.Millisecond})
	}
	read := func() *Log {
		log := open()
		view, err := log.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := view.Heads(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := log.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		return log
	}
	log := read()
	view, err := log.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := view.Head(t.Context(), "entry-0001", time.Time{})
	if err != nil || head == nil {
		t.Fatalf("head %v, %v", head, err)
	}
	target.mu.Lock()
	delete(target.tags, head.Tag.String())
	delete(target.manifests, head.Digest)
	target.mu.Unlock()
	for reading := range 4 {
		log := read()
		manifest, err := log.Manifest(t.Context(), head.Tag)
		if err != nil || len(manifest) == 0 {
			t.Fatalf("reading %d: %d bytes of the lost head, %v (%s)", reading, len(manifest), err, entry.Code(err))
		}
	}
}
