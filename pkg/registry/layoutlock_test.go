package registry

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"

	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/internal/testwait"
)

// Writers that know nothing of each other lose nothing: each value stands for
// a process, because the lock belongs to an open file.
func TestLayoutManyWriters(t *testing.T) {
	const writers, each = 8, 25
	root := filepath.Join(t.TempDir(), "layout")
	var group sync.WaitGroup
	var want []string
	for w := range writers {
		for i := range each {
			want = append(want, fmt.Sprintf("w%d-%02d", w, i))
		}
		repository := layoutAt(t, root)
		group.Go(func() {
			for i := range each {
				tag := fmt.Sprintf("w%d-%02d", w, i)
				d, manifest := manifestOf(t, tag, nil)
				if err := repository.PushManifest(t.Context(), d, manifest, tag); err != nil {
					t.Errorf("%s: %v", tag, err)
				}
				// A reader never sees half a file, and never less than before.
				tags, err := repository.Tags(t.Context())
				if err != nil || !slices.Contains(tags, tag) {
					t.Errorf("%s is missing from %d tags: %v", tag, len(tags), err)
				}
			}
		})
	}
	testwait.Return(t, "the writers", group.Wait)
	slices.Sort(want)
	if diff := cmp.Diff(want, sortedTags(t, layoutAt(t, root))); diff != "" {
		t.Error(diff)
	}
	checkLayout(t, root, writers*each)
}

// Goroutines that share one value lose nothing either, and the race detector finds
// nothing, not even where what they write is there already.
func TestLayoutSharedByWriters(t *testing.T) {
	const writers, each = 4, 20
	root := filepath.Join(t.TempDir(), "layout")
	shared := layoutAt(t, root)
	listed, content := manifestOf(t, "first", nil)
	push := func(tag string) {
		if err := shared.PushManifest(t.Context(), listed, content, tag); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
	push("first")
	var group sync.WaitGroup
	for w := range writers {
		for i := range each {
			group.Go(func() { push("first") }) // once: what it did next would hide what it shares
			group.Go(func() { push(fmt.Sprintf("w%d-%02d", w, i)) })
		}
	}
	testwait.Return(t, "the writers", group.Wait)
	if tags := sortedTags(t, layoutAt(t, root)); len(tags) != 1+writers*each {
		t.Errorf("%d tags: %v", len(tags), tags)
	}
}

func TestLayoutLockIsWaitedForWithinTheDeadline(t *testing.T) {
	root := t.TempDir()
	d, manifest := manifestOf(t, "m", nil)
	lock := flock.New(filepath.Join(root, lockFile))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if err := layoutAt(t, root).PushManifest(ctx, d, manifest, "t"); kind(err) != "timed out" {
		t.Errorf("while another holds the lock: %v", err)
	}
	if tags := sortedTags(t, layoutAt(t, root)); len(tags) != 0 {
		t.Errorf("written without the lock: %v", tags)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := layoutAt(t, root).PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Error(err)
	}
}

// The test may run as a user whom permissions do not bind, so the file system's
// answer is given, not provoked.
func TestLayoutWithoutPermission(t *testing.T) {
	refused := &fs.PathError{Op: "open", Path: "index.json", Err: fs.ErrPermission}
	if err := newLayout("images").failed("list tags", refused); kind(err) != "unauthorized" || !strings.Contains(err.Error(), "oci:images") {
		t.Error(err)
	}
}
