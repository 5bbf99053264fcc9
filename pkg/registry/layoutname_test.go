package registry

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutWith makes a layout of images, "name=image" each; what is called @ is
// attached to the first.
func layoutWith(t *testing.T, images []string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	writer := newLayout(dir)
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for _, image := range images {
		name, text, _ := strings.Cut(image, "=")
		var subject *ocispec.Descriptor
		if text == "@" {
			subject = &index.Manifests[0]
		}
		d, manifest := manifestOf(t, text, subject)
		if text == "[]" { // an index of all before
			whole := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: index.Manifests, Annotations: map[string]string{"text": text}}
			var err error
			if manifest, err = json.Marshal(whole); err != nil {
				t.Fatal(err)
			}
			d = describe(ocispec.MediaTypeImageIndex, manifest)
		}
		if err := writer.PushManifest(t.Context(), d, manifest, d.Digest.String()); err != nil {
			t.Fatal(err)
		}
		if name != "" {
			d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
		}
		index.Manifests = append(index.Manifests, d)
	}
	if images != nil {
		text, err := json.Marshal(index)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, ocispec.ImageIndexFile), string(text), 0o600)
	}
	return dir
}

// D16: images in a layout are found by the names that tools give them.
func TestNamesInLayouts(t *testing.T) {
	const full = "registry.example.com:5000/team/app:1.0"
	for _, tt := range []struct {
		name   string
		images []string // "name=image"; what is called @ is attached to the first
		ref    string   // after oci:DIR
		want   string   // the image, or the kind of error
		says   string
	}{
		{"the only one, unnamed", []string{"=a"}, "", "a", ""},
		{"the only one, named", []string{"v1=a"}, "", "a", ""},
		{"the only one, by two names", []string{"v1=a", "v2=a"}, "", "a", ""},
		{"the only one, with an attachment", []string{"=a", "=@"}, "", "a", ""},
		{"the only one, with what it is made of", []string{"=a", "=b", "v1=[]"}, "", "[]", ""},
		{"latest of several", []string{"v1=a", "latest=b"}, "", "b", ""},
		{"none of several", []string{"v1=a", "v2=b"}, "", "invalid", "v1, v2"},
		{"none of several unnamed", []string{"=a", "=b"}, "", "invalid", "@sha256:"},
		{"a tag", []string{"v1=a", "v2=b"}, ":v2", "b", ""},
		{"a tag that is not there", []string{"v1=a"}, ":v2", "not found", "v1"},
		{"a whole reference", []string{full + "=a", "v2=b"}, ":" + full, "a", ""},
		{"a reference without a tag", []string{"registry.example.com/app=a", "v2=b"}, ":registry.example.com/app", "a", ""},
		{"Docker Hub's", []string{"docker.io/library/busybox:latest=a", "docker.io/library/busybox:1=b"}, ":docker.io/library/busybox:latest", "a", ""},
		{"a whole reference that is not there", []string{full + "=a"}, ":registry.example.com:5000/team/app:2.0", "not found", full},
		{"two of one name", []string{"v1=a", "v1=b", "v2=a"}, ":v1", "malformed", "v2"},
		{"two of one whole name", []string{full + "=a", full + "=b"}, ":" + full, "malformed", full},
		{"one image twice by one name", []string{"v1=a", "v1=a"}, ":v1", "a", ""},
		{"nothing there", nil, ":v1", "not found", ""},
		{"nothing there at all", nil, "", "not found", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := layoutWith(t, tt.images)
			ref, err := ParseReference("oci:" + dir + tt.ref)
			if err != nil {
				t.Fatal(err)
			}
			client, err := New(Options{})
			if err != nil {
				t.Fatal(err)
			}
			repository, err := client.Open(ref)
			if err != nil {
				t.Fatal(err)
			}
			_, body, err := repository.Manifest(t.Context(), ref.Target())
			var manifest ocispec.Manifest
			if err == nil {
				err = json.Unmarshal(body, &manifest)
			}
			if got := manifest.Annotations["text"] + kind(err); got != tt.want || (err != nil && !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("oci:DIR%s: %s, %v; want %s, and %q", tt.ref, got, err, tt.want, tt.says)
			}
			if err == nil {
				d, _, err := repository.Manifest(t.Context(), describe(ocispec.MediaTypeImageManifest, body).Digest.String())
				if err != nil || d.Size != int64(len(body)) {
					t.Errorf("by its digest: %v, %v", d, err)
				}
			}
		})
	}
}
