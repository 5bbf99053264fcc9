package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// What `get` says of images that other tools made and pushed is what those
// tools say of them, field by field.

// inspected is what `skopeo inspect` prints.
type inspected struct {
	Digest       digest.Digest
	Created      time.Time
	Labels       map[string]string
	Architecture string
	Os           string
	Layers       []string
}

func (w *world) get(name string) (item entry.Item) {
	w.t.Helper()
	fromJSON(w.t, w.ok("catalog", "get", name, "-o", "json").Stdout, &item)
	return item
}

func TestContainersAreWhatSkopeoSays(t *testing.T) {
	withImages(t, func(t *testing.T, w *world, images *workshop) {
		for name, format := range map[string]string{"oci": "oci", "docker": "v2s2"} {
			reference := images.container(name, "arm64", format)
			w.ok("catalog", "publish", reference)
			item := w.get(name)
			var says inspected
			fromJSON(t, images.skopeo("inspect", "--tls-verify=false", "docker://"+reference), &says)
			_, manifest := images.manifest(reference)
			size := manifest.Config.Size
			for _, layer := range manifest.Layers {
				size += layer.Size
			}
			want := []any{says.Digest, says.Architecture, len(says.Layers), says.Created.UTC(), says.Labels["containers.bootc"] == "1", size, false}
			got := []any{item.Digest, item.Architecture, item.LayerCount, item.ImageCreatedAt.UTC(), item.Bootc, item.SizeBytes, item.IsMultiArch}
			if diff := cmp.Diff(want, got); diff != "" || len(says.Layers) < 2 {
				t.Errorf("%s, %d layers:\n%s", name, len(says.Layers), diff)
			}
			if manifest.Annotations != nil {
				var targets []string
				for _, target := range item.Targets {
					targets = append(targets, target.Name)
				}
				want := []string{manifest.Annotations[automotive+"distro"], manifest.Annotations[automotive+"target"]}
				if got := []string{item.Distro, strings.Join(targets, ",")}; !slices.Equal(got, want) {
					t.Errorf("%s: distro and target %q, want %q", name, got, want)
				}
			}
		}
	})
}

func TestIndexesAreWhatSkopeoSays(t *testing.T) {
	withImages(t, func(t *testing.T, w *world, images *workshop) {
		parts := []string{images.container("part", "amd64", "oci"), images.container("part", "arm64", "oci")}
		for name, format := range map[string]string{"multi": "oci", "list": "v2s2"} {
			reference := images.index(name, format, parts...)
			w.ok("catalog", "publish", reference)
			item := w.get(name)
			d, index := images.manifest(reference)
			repository, _, _ := strings.Cut(reference, ":multi")
			var want []entry.Platform
			sizes, most := map[digest.Digest]int64{}, 0
			for _, child := range index.Manifests {
				pinned := repository + "@" + child.Digest.String()
				var says inspected
				fromJSON(t, images.skopeo("inspect", "--tls-verify=false", "docker://"+pinned), &says)
				_, manifest := images.manifest(pinned)
				size := manifest.Config.Size
				sizes[manifest.Config.Digest] = manifest.Config.Size
				for _, layer := range manifest.Layers {
					size += layer.Size
					sizes[layer.Digest] = layer.Size
				}
				most = max(most, len(says.Layers))
				want = append(want, entry.Platform{Architecture: says.Architecture, OS: says.Os, Digest: says.Digest, SizeBytes: size, LayerCount: len(says.Layers)})
			}
			if diff := cmp.Diff(want, item.PlatformVariants); diff != "" || len(want) != 2 {
				t.Errorf("%s:\n%s", name, diff)
			}
			var total int64
			for _, size := range sizes {
				total += size
			}
			if diff := cmp.Diff([]any{d.Digest, total, most, true}, []any{item.Digest, item.SizeBytes, item.LayerCount, item.IsMultiArch}); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
	})
}

func TestDisksAreWhatOrasPulls(t *testing.T) {
	withImages(t, func(t *testing.T, w *world, images *workshop) {
		disk, size := images.disk("disk")
		for name, reference := range map[string]string{"disk": disk, "parts": images.partitions("parts")} {
			w.ok("catalog", "publish", reference)
			item := w.get(name)
			d, manifest := images.manifest(reference)
			if item.Digest != d.Digest || item.LayerCount != len(manifest.Layers) || len(item.ArtifactRefs) != len(manifest.Layers) {
				t.Errorf("%s: %+v", name, item)
			}
			for i, layer := range manifest.Layers {
				ref := item.ArtifactRefs[i]
				to := t.TempDir()
				images.oras("pull", "--plain-http", "--output", to, ref.URL) // the reference can be pasted
				checksum, bytes, full := unpacked(t, filepath.Join(to, ref.Title))
				got := []any{ref.Type, ref.Digest, ref.SizeBytes, ref.Partition, ref.DecompressedSize, ref.Compression}
				want := []any{layer.MediaType, checksum, bytes, layer.Annotations[automotive+"partition"], full, "gzip"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s:\n%s", name, ref.Title, diff)
				}
			}
			if item.DownloadURL != item.ArtifactRefs[0].URL {
				t.Errorf("%s: downloadUrl %s", name, item.DownloadURL)
			}
		}
		item := w.get("disk")
		var info struct {
			Format string `json:"format"`
		}
		fromJSON(t, images.qemuImg("info", "--output", "json", "disk.qcow2"), &info)
		if item.ExportFormat != info.Format || item.ArtifactRefs[0].Format != info.Format || item.ArtifactRefs[0].DecompressedSize != size || item.Architecture != "amd64" {
			t.Errorf("a %s of %d bytes: %+v", info.Format, size, item)
		}
	})
}

// What `oras attach` put beside an image and its platforms is shown, by plain
// name, and can be pulled.
func TestWhatOrasAttached(t *testing.T) {
	withImages(t, func(t *testing.T, w *world, images *workshop) {
		reference := images.index("autosd", "oci", images.container("part", "amd64", "oci"), images.container("part", "arm64", "oci"))
		_, index := images.manifest(reference)
		platform := index.Manifests[1].Digest.String()
		repository, _, _ := strings.Cut(reference, ":multi")
		for _, a := range []struct{ to, artifactType, file string }{
			{reference, "application/vnd.automotive.manifest.v1+yaml", "manifest.aib.yml"},
			{reference, "application/vnd.automotive.sources.v1+tar+gzip", "build-sources.tar.gz"},
			{reference, "application/vnd.osbuild.manifest.v1+json", "image.json"},
			{repository + "@" + platform, "application/spdx+json", "sbom.spdx.json"},
		} {
			images.write(a.file, "content of "+a.file)
			images.oras("attach", "--plain-http", "--artifact-type", a.artifactType, a.to, a.file+":text/plain")
		}
		w.ok("catalog", "publish", reference)
		item := w.get("autosd")
		got := map[string]string{}
		for _, r := range item.Referrers {
			got[r.Kind] = r.Title + " " + r.Platform.String()
			to := t.TempDir()
			images.oras("pull", "--plain-http", "--output", to, r.URL)
			if r.SizeBytes != int64(len("content of "+r.Title)) || r.FileDigest != digest.FromString("content of "+r.Title) {
				t.Errorf("referrer %+v, want the size and digest of its file", r)
			}
		}
		want := map[string]string{
			"AIB manifest": "manifest.aib.yml ", "build sources": "build-sources.tar.gz ", "osbuild manifest": "image.json ", "SBOM": "sbom.spdx.json " + platform,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("referrers (-want +got):\n%s", diff)
		}
		table := w.ok("catalog", "get", "autosd", "-o", "table").Stdout
		for _, text := range []string{"AIB manifest", repository + "@" + platform, "bootc switch " + repository + "@" + item.Digest.String()} {
			if !strings.Contains(table, text) {
				t.Errorf("%q is not in:\n%s", text, table)
			}
		}
		if again := w.ok("catalog", "publish", reference); !strings.HasPrefix(again.Stdout, "unchanged ") {
			t.Errorf("published again: %s", again.Stdout)
		}
	})
}
