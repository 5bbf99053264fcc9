package ocilog

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/internal/testwait"
)

func files(t *testing.T, dir string) (paths []string, total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil || item.IsDir() {
			return err
		}
		info, err := item.Info()
		if err != nil {
			return err
		}
		paths, total = append(paths, path), total+info.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths, total
}

func TestACacheFaultIsAMiss(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 100)
	for name, fault := range map[string]func(t *testing.T, path string){
		"altered":   func(t *testing.T, path string) { write(t, path, []byte("something else")) },
		"cut short": func(t *testing.T, path string) { truncate(t, path) },
		"missing":   func(t *testing.T, path string) { remove(t, path) },
		"a directory in its place": func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			live(t, newLog(target, "test", Options{Cache: NewCache(dir, 0)}))
			paths, _ := files(t, dir)
			if len(paths) < 2 {
				t.Fatalf("the cache holds %v", paths)
			}
			for _, path := range paths {
				fault(t, path)
			}
			got, warnings := live(t, newLog(target, "test", Options{Cache: NewCache(dir, 0)}))
			if diff := cmp.Diff(names, got); diff != "" || len(warnings) > 0 {
				t.Errorf("%s\nwarnings %v", diff, warnings)
			}
		})
	}
}

func TestACacheThatCannotBeWrittenIsNone(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 40)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	got, warnings := live(t, newLog(target, "test", Options{Cache: NewCache(filepath.Join(file, "below"), 0)}))
	if diff := cmp.Diff(names, got); diff != "" || len(warnings) > 0 {
		t.Errorf("%s\nwarnings %v", diff, warnings)
	}
}

func TestTheCacheStaysBelowItsCap(t *testing.T) {
	dir := t.TempDir()
	cache := NewCache(dir, 10_000)
	var sums []digest.Digest
	for i := range 20 {
		blob := make([]byte, 1000)
		blob[0] = byte(i)
		sum := digest.FromBytes(blob)
		cache.putBlob(sum, blob)
		sums = append(sums, sum)
		old := time.Now().Add(time.Duration(i-100) * time.Minute)
		if err := os.Chtimes(cache.blobPath(sum), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, total := files(t, dir); total > 10_000 {
		t.Errorf("%d bytes, want at most 10000", total)
	}
	if _, ok := cache.blob(sums[19]); !ok {
		t.Error("the newest segment is gone")
	}
	if _, ok := cache.blob(sums[0]); ok {
		t.Error("the oldest segment is still there")
	}
}

func TestProcessesShareACache(t *testing.T) {
	target, c := newMemory(), &clock{}
	names := fill(t, target, c, 80)
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				got, _ := live(t, newLog(target, "test", Options{Cache: NewCache(dir, 0)}))
				if diff := cmp.Diff(names, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	testwait.Return(t, "the readers", group.Wait)
	paths, _ := files(t, dir)
	for _, path := range paths {
		if filepath.Base(path)[0] == '.' {
			t.Errorf("left behind: %s", path)
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
