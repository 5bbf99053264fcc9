package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

// buildahLayout has buildah build an image, and push it under a tag.
func buildahLayout(t *testing.T, layout string) {
	t.Helper()
	buildah, dir := tools.Debian(t, "buildah", "buildah"), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	storage := []string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs"}
	for _, args := range [][]string{{"bud", "--isolation", "chroot", "-t", "image", dir}, {"push", "image", layout}} {
		if result := tools.Run(t, nil, buildah, append(storage, args...)...); result.Code != 0 {
			t.Fatalf("buildah %v: %s", args, result.Stderr)
		}
	}
}

// Layouts that other tools made: unnamed images, tags, whole references, and two
// images of one name.
func TestLayoutsOfOtherTools(t *testing.T) {
	t.Parallel()
	server := registries.GGCR(t, true)
	source := newWorld(t, at(server.Host, "ggcr", true))
	image, other := source.push("autosd", "1", "arm64", "amd64"), source.push("other", "1", "amd64")
	dir := t.TempDir()
	run := func(program string, args ...string) {
		t.Helper()
		if result := tools.Run(t, nil, program, args...); result.Code != 0 {
			t.Fatalf("%s %v: %s", filepath.Base(program), args, result.Stderr)
		}
	}
	skopeo, oras := tools.Debian(t, "skopeo", "skopeo"), tools.Oras(t)
	copyTo := func(from, to string) {
		run(skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", "--all", "docker://"+from, to)
	}
	whole := "registry.example.com:5000/team/autosd:1.0"
	copyTo(image, "oci:"+dir+"/unnamed")
	copyTo(image, "oci:"+dir+"/whole:"+whole)
	copyTo(other, "oci:"+dir+"/whole:second")
	run(oras, "cp", "--from-plain-http", "--to-oci-layout", image, dir+"/oras:1")
	if pulled, err := crane.Pull(image, crane.Insecure); err != nil {
		t.Fatal(err)
	} else if err := crane.SaveOCI(pulled, dir+"/crane"); err != nil {
		t.Fatal(err)
	}
	if pulled, err := crane.Pull(other, crane.Insecure); err != nil {
		t.Fatal(err)
	} else if err := crane.SaveOCI(pulled, dir+"/crane"); err != nil {
		t.Fatal(err)
	}
	buildahLayout(t, "oci:"+dir+"/buildah:v1")
	w := newWorld(t, target{catalog: "oci:" + dir + "/catalog"})
	for i, tt := range []struct {
		layout string
		code   int
		says   string
	}{
		{"unnamed", 0, ""}, {"whole:" + whole, 0, ""}, {"whole:second", 0, ""}, {"oras:1", 0, ""}, {"oras", 0, ""}, {"buildah:v1", 0, ""}, {"buildah", 0, ""},
		{"whole", 2, "name one of them: registry.example.com:5000/team/autosd:1.0, second"},
		{"whole:third", 4, "second"},
		{"crane", 2, "name one of them: @sha256:"},
	} {
		result := w.exits(tt.code, "catalog", "publish", "oci:"+dir+"/"+tt.layout, "--name", "e"+string(rune('a'+i)))
		if !strings.Contains(result.Stderr, tt.says) {
			t.Errorf("%s: %s", tt.layout, result.Stderr)
		}
	}
}
