package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/registry"
)

// The image of caib is made by `make image`, runs as nobody in particular from its own
// root directory, and publishes itself.
func TestContainerImage(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("another root directory needs root")
	}
	make, buildah := tools.Debian(t, "make", "make"), tools.Debian(t, "buildah", "buildah")
	skopeo, umoci := tools.Debian(t, "skopeo", "skopeo"), tools.Debian(t, "umoci", "umoci")
	dir := t.TempDir()
	run := func(program string, args ...string) string {
		t.Helper()
		result := tools.Run(t, nil, program, args...)
		if result.Code != 0 {
			t.Fatalf("%s %v: exit code %d\n%s%s", filepath.Base(program), args, result.Code, result.Stdout, result.Stderr)
		}
		return result.Stdout
	}
	layout := filepath.Join(dir, "image")
	storage := "--root " + dir + "/root --runroot " + dir + "/run --storage-driver vfs"
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute) // programs are compiled and linked
	defer cancel()
	if text, err := exec.CommandContext(ctx, make, "-C", "..", "image", "IMAGE="+layout, "BUILDAH="+buildah+" "+storage).CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, text)
	}

	checkConfigs(t, layout, run)
	server := registries.GGCR(t, true)
	run(skopeo, "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+server.Host+"/tools/caib:1")
	run(skopeo, "--insecure-policy", "copy", "oci:"+layout+":latest", "oci:"+dir+"/own:latest") // of this architecture
	run(umoci, "unpack", "--image", dir+"/own:latest", dir+"/bundle")
	rootfs := filepath.Join(dir, "bundle", "rootfs")
	checkRoot(t, rootfs)

	inside := func(args ...string) string {
		t.Helper()
		env := []string{"CAIB_CATALOG=" + server.Host + "/team/catalog", "HOME=/cache"}
		result := tools.Run(t, env, tools.Debian(t, "chroot", "coreutils"), append([]string{"--userspec=65532:65532", rootfs, "/caib"}, args...)...)
		if result.Code != 0 {
			t.Fatalf("in the image, caib %v: exit code %d\n%s%s", args, result.Code, result.Stdout, result.Stderr)
		}
		return result.Stdout
	}
	if said := inside("version"); !strings.HasPrefix(said, "caib ") || strings.HasPrefix(said, "caib devel ") {
		t.Errorf("caib version says %q, want the commit", said)
	}
	inside("catalog", "publish", server.Host+"/tools/caib:1", "--name", "caib", "--no-attach")
	listed := strings.FieldsFunc(inside("catalog", "list", "--columns", "NAME,ARCH", "--no-headers"), func(r rune) bool { return strings.ContainsRune(" ,\n", r) })
	slices.Sort(listed) // the order of an index is that in which its images were built
	if diff := cmp.Diff([]string{"amd64", "arm64", "caib"}, listed); diff != "" {
		t.Errorf("the name and the architectures (-want +got):\n%s", diff)
	}
}

// checkConfigs checks what an image says of itself, for each platform.
func checkConfigs(t *testing.T, layout string, run func(program string, args ...string) string) {
	t.Helper()
	var platforms []string
	for _, architecture := range []string{"amd64", "arm64"} {
		var image ocispec.Image
		if err := json.Unmarshal([]byte(run(tools.Debian(t, "skopeo", "skopeo"), "--override-arch", architecture, "inspect", "--config", "oci:"+layout+":latest")), &image); err != nil {
			t.Fatal(err)
		}
		platforms = append(platforms, image.OS+"/"+image.Architecture)
		want := ocispec.ImageConfig{User: "65532:65532", Entrypoint: []string{"/caib"}, Cmd: []string{"--help"}}
		got := ocispec.ImageConfig{User: image.Config.User, Entrypoint: image.Config.Entrypoint, Cmd: image.Config.Cmd}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", architecture, diff)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

// checkRoot checks that an image holds the program and the authorities, and nothing
// else.
func checkRoot(t *testing.T, rootfs string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(rootfs, func(path string, file os.DirEntry, err error) error {
		if err == nil && !file.IsDir() {
			files = append(files, strings.TrimPrefix(path, rootfs))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/caib", "/etc/ssl/certs/ca-certificates.crt"}, files); diff != "" {
		t.Errorf("files of the image (-want +got):\n%s", diff)
	}
	// A client takes the file for authorities.
	if _, err := registry.New(registry.Options{CAFile: filepath.Join(rootfs, "etc/ssl/certs/ca-certificates.crt")}); err != nil {
		t.Errorf("the authorities: %v", err)
	}
}
