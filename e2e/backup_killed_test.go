package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// writes are the requests that change something.
func writes(requests []string) []string {
	return slices.DeleteFunc(requests, func(request string) bool {
		return strings.HasPrefix(request, "GET ") || strings.HasPrefix(request, "HEAD ")
	})
}

// A backup that is killed at any moment leaves no file of its name, and what it had sent
// to standard output is refused before anything is written. One more is whole.
func TestKilledWhileBackingUp(t *testing.T) {
	t.Parallel()
	s := newSource(t, "ggcr")
	s.fill(0, 30)
	want, dir := s.log(s.on.catalog), t.TempDir()
	alone := s.elsewhere()
	alone.env = append(alone.env, "TMPDIR="+emptyDir(t))
	began := time.Now()
	alone.ok("catalog", "backup", s.on.catalog, filepath.Join(dir, "whole.tar"))
	within := time.Since(began)

	cuts, whole := 0, []string{filepath.Join(dir, "whole.tar")}
	for range tenth(20) {
		cut, err := os.Create(filepath.Join(t.TempDir(), "cut.tar"))
		if err != nil {
			t.Fatal(err)
		}
		ended := alone.killed(rand.N(within), cut, "catalog", "backup", s.on.catalog, "-")
		if err := cut.Close(); err != nil {
			t.Fatal(err)
		}
		if ended {
			whole = append(whole, cut.Name())
		} else {
			cuts++
			s.refusesCut(t, cut.Name())
		}

		file := filepath.Join(t.TempDir(), "catalog.tar.zst")
		if !alone.killed(rand.N(within), nil, "catalog", "backup", s.on.catalog, file) {
			if _, err := os.Lstat(file); err == nil {
				t.Errorf("a backup that was killed left %s", file)
			}
			alone.ok("catalog", "backup", s.on.catalog, file)
		}
		if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
			t.Errorf("beside a backup after a killed one: %v, %v, want it alone", left, err)
		}
		whole = append(whole, file)
	}
	t.Logf("a backup takes %s; %d of %d to standard output were cut", within, cuts, tenth(20))
	for _, file := range whole {
		to := "oci:" + filepath.Join(t.TempDir(), "restored")
		alone.ok("catalog", "restore", file, to)
		if diff := cmp.Diff(want, alone.log(to)); diff != "" || len(want) < 30 {
			t.Errorf("%d revisions in %s (-source +restored):\n%s", len(want), file, diff)
		}
	}
}

// refusesCut requires that nothing is restored from a file.
func (s *source) refusesCut(t *testing.T, file string) {
	t.Helper()
	to := newCounted(t, "ggcr")
	result := s.exits(9, "catalog", "restore", file, to.address+"/mirror/catalog")
	requests, _ := to.taken()
	if wrote := writes(requests); len(wrote) > 0 {
		t.Errorf("a file that was cut was restored: %q", wrote)
	}
	says(t, result, file, "hint: ")
}

// A restore that is killed at any moment leaves a catalog that shows nothing superseded
// or removed, and one more makes it what an undisturbed one is.
func TestKilledWhileRestoring(t *testing.T) {
	t.Parallel()
	s := newSource(t, "ggcr")
	s.fill(0, 30)
	want, file := s.show(s.public), filepath.Join(t.TempDir(), "catalog.tar")
	s.ok("catalog", "backup", s.on.catalog, file)
	began := time.Now()
	undisturbed := newCounted(t, "distribution-3.1").address + "/mirror/catalog"
	s.ok("catalog", "restore", file, undisturbed)
	within := time.Since(began)

	events, sightings, ended := s.events(), 0, 0
	for n := range tenth(20) {
		to := newCounted(t, []string{"distribution-3.1", "ggcr"}[n%2])
		on := target{catalog: to.address + "/mirror/catalog"}
		alone := newWorld(t, on)
		alone.env = append(alone.env, "TMPDIR="+emptyDir(t))
		watcher := s.watch(on.catalog)
		watcher.begins()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go watcher.run(ctx)
		if alone.killed(rand.N(within), nil, "catalog", "restore", file, on.catalog) {
			ended++
		}
		alone.ok("catalog", "restore", file, on.catalog)
		stop()
		<-watcher.ended
		watcher.judge(events)
		sightings += len(watcher.seen)
		if diff := cmp.Diff(s.log(undisturbed), alone.log(on.catalog)); diff != "" || len(alone.log(on.catalog)) < 30 {
			t.Errorf("revisions (-undisturbed +killed):\n%s", diff)
		}
		alone.shows(s.public, want)
	}
	t.Logf("an undisturbed restore takes %s; %d of %d had ended before they were killed; %d sightings", within, ended, tenth(20), sightings)
}
