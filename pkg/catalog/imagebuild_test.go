package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/imagebuild"
	"github.com/oci-catalog/caib/pkg/registry"
)

// pushDisk pushes a disk image artifact and returns its reference.
func (w *world) pushDisk(repository, tag string) string {
	w.t.Helper()
	ref, err := registry.ParseReference(w.host + "/" + repository + ":" + tag)
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := w.client.Open(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := samples.Disk(w.t.Context(), to, tag, samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: tag, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}); err != nil {
		w.t.Fatal(err)
	}
	return ref.String()
}

func TestPublishBuild(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	build := imagebuild.Build{
		Name: "nightly-77", Phase: "Completed", Position: "f:1", Completed: imagebuild.Text{Value: "2026-03-01T12:00:00Z"}, Container: w.push("os/autosd", "77", "1"), Disk: w.pushDisk("os/disk", "77"),
		Metadata: entry.Metadata{Architecture: "aarch64", Distro: "cs9", Targets: []entry.Target{{Name: "rpi4", Verified: true}}, BuildMode: "bootc", Bootc: true},
		Labels:   map[string]string{"builder": "x", "team": "build"},
		Source:   entry.Source{Type: entry.SourceScheduled, ImageBuild: "nightly-77", Schedule: "nightly"},
	}
	result, err := publishBuild(t, c, build, catalog.PublishOptions{Version: "7", Labels: map[string]string{"team": "typed"}, Metadata: entry.Metadata{DistroVersion: "10"}})
	if err != nil {
		t.Fatal(err)
	}
	item := result.Item
	got := []any{item.Name, item.Version, item.RegistryURL, item.SourceType, item.SourceImageBuild, item.ScheduleName, item.Architecture, item.Distro,
		item.DistroVersion, item.ExportFormat, item.Targets, item.Labels, len(item.ArtifactRefs), len(item.Conditions), len(result.Warnings)}
	want := []any{"nightly", "7", build.Container, entry.SourceScheduled, "nightly-77", "nightly", "arm64", "autosd",
		"10", "qcow2", []entry.Target{{Name: "rpi4", Verified: true}}, map[string]string{"builder": "x", "team": "typed"}, 1, 1, 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if item.DownloadURL != item.ArtifactRefs[0].URL || !strings.HasPrefix(item.DownloadURL, w.host+"/os/disk@sha256:") {
		t.Errorf("downloadUrl %s", item.DownloadURL)
	}
	if again, err := publishBuild(t, c, build, catalog.PublishOptions{Version: "7", Labels: map[string]string{"team": "typed"}, Metadata: entry.Metadata{DistroVersion: "10"}}); err != nil || again.Outcome != catalog.Unchanged {
		t.Errorf("again: %s, %v", again.Outcome, err)
	}
	build.Name, build.Container = "disk-only", ""
	if result, err = publishBuild(t, c, build, catalog.PublishOptions{}); err != nil || result.Item.RegistryURL != build.Disk || len(result.Item.ArtifactRefs) != 1 {
		t.Errorf("a disk alone: %+v, %v", result.Item, err)
	}
}

func TestPublishBuildRefuses(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	for _, tt := range []struct {
		name  string
		build imagebuild.Build
		want  error
		text  string
	}{
		{"a build under way", imagebuild.Build{Phase: "Building", Container: image}, entry.ErrInvalid, "is Building"},
		{"a build that exports nothing", imagebuild.Build{Phase: "Completed"}, entry.ErrInvalid, "exports neither"},
		{"a container that is not there", imagebuild.Build{Phase: "Completed", Container: w.host + "/os/none:1"}, entry.ErrNotFound, "os/none:1"},
		{"a disk that is not there", imagebuild.Build{Phase: "Completed", Container: image, Disk: w.host + "/os/none:1"}, entry.ErrNotFound, "disk image: "},
		{"a disk that is none", imagebuild.Build{Phase: "Completed", Container: image, Disk: w.push("os/other", "1", "2")}, entry.ErrInvalid, "is no disk image"},
		{"a disk that is no reference", imagebuild.Build{Phase: "Completed", Container: image, Disk: "x"}, entry.ErrInvalid, "disk image: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.build.Name, tt.build.Position = "b", "f:1"
			c := w.open(catalog.Options{})
			requests := w.counter.during(func() {
				if _, err := publishBuild(t, c, tt.build, catalog.PublishOptions{}); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%v, want %v with %q", err, tt.want, tt.text)
				}
			})
			if wrote := writes(requests); len(wrote) > 0 {
				t.Errorf("it wrote: %v", wrote)
			}
		})
	}
}

// A registry that does not say what is attached does not make an entry forget
// what it said before.
func TestReferrersAreNotForgotten(t *testing.T) {
	var refuse atomic.Bool
	w := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if refuse.Load() && strings.Contains(r.URL.Path, "/referrers/") {
				http.Error(rw, "no", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	c := w.open(catalog.Options{})
	image := w.push("os/autosd", "1", "1")
	w.attach(image, "application/spdx+json")
	w.attach(image, "application/vnd.automotive.disk.raw")
	first := w.publish(c, image, catalog.PublishOptions{NoAttach: true})
	if len(first.Item.Referrers) != 1 || len(first.Item.ArtifactRefs) != 1 {
		t.Fatalf("%+v, %+v", first.Item.Referrers, first.Item.ArtifactRefs)
	}
	refuse.Store(true)
	second := w.publish(c, image, catalog.PublishOptions{NoAttach: true})
	if second.Outcome != catalog.Unchanged || len(second.Warnings) != 1 {
		t.Errorf("%s, warnings %v", second.Outcome, second.Warnings)
	}
	w.push("os/autosd", "1", "another image")
	if third := w.publish(c, image, catalog.PublishOptions{NoAttach: true}); len(third.Item.Referrers)+len(third.Item.ArtifactRefs) != 0 {
		t.Errorf("of another image: %+v", third.Item)
	}
}

func publishBuild(t *testing.T, c *catalog.Catalog, build catalog.Build, options catalog.PublishOptions) (catalog.PublishResult, error) {
	t.Helper()
	image, options, err := catalog.FromBuild(build, options)
	if err != nil {
		return catalog.PublishResult{}, err
	}
	return c.Publish(t.Context(), image, options)
}
