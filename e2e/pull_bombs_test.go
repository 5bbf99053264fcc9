package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/e2e/tools"
)

// A file that is more than it says, or less, is not written, however little it is as it
// is stored; nor is anything over what is there.
func TestPullRefusesBombs(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	server := registries.Distribution3(t, true)
	w := newWorld(t, at(server.Host, server.Name, server.Referrers))
	made := t.TempDir()
	zeros := filepath.Join(made, "zeros")
	if err := os.WriteFile(zeros, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(zeros, size); err != nil {
		t.Fatal(err)
	}
	must(t, made, tools.Debian(t, "img2simg", "android-sdk-libsparse-utils"), zeros, "simg")
	files := []string{"simg"}
	for _, program := range []string{"gzip", "zstd", "xz", "lz4"} {
		packInto(t, filepath.Join(made, program), zeros, program, map[string]string{"xz": "xz-utils"}[program])
		files = append(files, program)
	}
	for name, says := range map[string]int64{"right": size, "more": size + 1, "less": size - 1, "little": 1 << 20, "nothing": 0} {
		image := w.on.image(name) + ":1"
		args := []string{"push", "--plain-http", "--artifact-type", diskType + "raw", image}
		annotations := map[string]map[string]string{}
		for _, file := range files {
			mediaType := "raw+" + file
			if file == "simg" {
				mediaType = file
			} else if says > 0 {
				annotations[file] = map[string]string{automotive + "decompressed-size": fmt.Sprint(says)}
			}
			args = append(args, file+":"+diskType+mediaType)
		}
		write(t, filepath.Join(made, "annotations.json"), jsonText(annotations))
		must(t, made, tools.Oras(t), append(args, "--annotation-file", "annotations.json")...)
		w.ok("catalog", "publish", image, "--name", name)
		for _, file := range files {
			dir := t.TempDir()
			pull := []string{"catalog", "pull", name, filepath.Join(dir, "disk"), "--artifact", file}
			switch {
			case name == "nothing":
				w.exits(9, append(pull, "--max-size", "1MiB")...)
			case name == "right":
				w.ok(pull...)
				same(t, filepath.Join(dir, "disk"), zeros)
				w.exits(5, pull...)
				same(t, filepath.Join(dir, "disk"), zeros)
				continue
			case file == "simg": // says its size by itself
				continue
			default:
				w.exits(9, pull...)
				w.exits(9, "catalog", "pull", name, "-", "--artifact", file)
			}
			if left := tree(t, dir); len(left) > 0 {
				t.Errorf("%s, %s: %d files are there, want none", name, file, len(left))
			}
		}
	}
}
