package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// An image that is pushed while its publisher waits is published.
func TestPublishWaits(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.host + "/os/autosd:1"
	c := w.open(catalog.Options{})
	var waited []string
	var result catalog.PublishResult
	var err error
	testwait.Return(t, "the publication", func() {
		result, err = c.Publish(t.Context(), image, catalog.PublishOptions{Wait: time.Minute / 2, Waiting: func(reference string, since time.Duration) {
			if since < 0 || since > time.Minute/2 {
				t.Errorf("waited %s", since)
			}
			if waited = append(waited, reference); len(waited) == 2 {
				w.push("os/autosd", "1", "1")
			}
		}})
	})
	if err != nil || result.Outcome != catalog.Published || len(waited) != 2 || waited[0] != image {
		t.Errorf("%s, %v, waited for %q; want published after the second look", result.Outcome, err, waited)
	}
}

// Only what is not there is waited for, and no longer than asked.
func TestPublishWaitsForNothingElse(t *testing.T) {
	w := newWorld(t, true, nil)
	image := w.push("os/autosd", "1", "1")
	none := w.host + "/os/autosd:none"
	ended, cancel := context.WithCancel(t.Context())
	defer cancel()
	part := "oci:" + t.TempDir() + "/layout:1"
	removeLayer(t, w, part)
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		image string
		with  catalog.PublishOptions
		want  error
		text  string
		waits bool
	}{
		{"an image that never comes", t.Context(), none, catalog.PublishOptions{Wait: 100 * time.Millisecond}, entry.ErrNotFound, "waited 100ms for it", true},
		{"a repository that never comes", t.Context(), w.host + "/os/none:1", catalog.PublishOptions{Wait: 100 * time.Millisecond}, entry.ErrNotFound, "waited 100ms for it", true},
		{"no wait", t.Context(), none, catalog.PublishOptions{}, entry.ErrNotFound, "", false},
		{"a disk image that never comes", t.Context(), image, catalog.PublishOptions{Wait: 100 * time.Millisecond, Disk: none}, entry.ErrNotFound, "disk image: ", true},
		{"a caller who leaves", ended, none, catalog.PublishOptions{Wait: time.Hour}, context.Canceled, "wait for ", true},
		{"another digest", t.Context(), image, catalog.PublishOptions{Wait: time.Hour, Digest: "sha256:" + noDigest}, entry.ErrConflict, "", false},
		{"a layer that is missing", t.Context(), part, catalog.PublishOptions{Wait: time.Hour}, entry.ErrNotFound, "", false},
		{"a registry that is away", t.Context(), "127.0.0.1:1/os/image:1", catalog.PublishOptions{Wait: time.Hour}, entry.ErrUnreachable, "", false},
		{"a layout that is not there", t.Context(), "oci:" + t.TempDir() + "/none:1", catalog.PublishOptions{Wait: 100 * time.Millisecond}, entry.ErrNotFound, "waited 100ms for it", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			waits := false
			tt.with.Waiting = func(string, time.Duration) {
				if waits = true; tt.ctx == ended {
					cancel()
				}
			}
			var err error
			testwait.Return(t, "the publication", func() {
				_, err = w.open(catalog.Options{}).Publish(tt.ctx, tt.image, tt.with)
			})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || waits != tt.waits {
				t.Errorf("waited %t, error %v; want %t, %v with %q", waits, err, tt.waits, tt.want, tt.text)
			}
		})
	}
}

const noDigest = "0000000000000000000000000000000000000000000000000000000000000000"

// removeLayer pushes an image to a layout, and takes a layer of it away.
func removeLayer(t *testing.T, w *world, reference string) {
	t.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	to, err := w.client.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := samples.Bootc(t.Context(), to, ref.Tag, samples.Build{Distro: "autosd", Architectures: []string{"arm64"}, Version: "1"}); err != nil {
		t.Fatal(err)
	}
	_, content, err := to.Manifest(t.Context(), ref.Tag)
	if err != nil {
		t.Fatal(err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		t.Fatal(err)
	}
	directory := strings.TrimSuffix(strings.TrimPrefix(reference, "oci:"), ":1")
	if err := os.Remove(filepath.Join(directory, "blobs", "sha256", manifest.Layers[0].Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
}
