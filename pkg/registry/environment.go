package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Where docker and podman keep what they know of registries, as the environment
// says it.

// dockerFile is docker's configuration; with no home directory, an empty file.
func dockerFile(getenv func(string) string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	home := getenv("HOME")
	if home == "" {
		home = getenv("USERPROFILE")
	}
	if home == "" {
		return os.DevNull
	}
	return filepath.Join(home, ".docker", "config.json")
}

// podmanFiles are where podman stores logins: those of this session first, then
// those of the sessions that the system gives each user, then those that stay.
func podmanFiles(getenv func(string) string, sessions []string) []string {
	var files []string
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	}
	for _, file := range sessions {
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if dir := podmanConfig(getenv); dir != "" {
		files = append(files, filepath.Join(dir, "auth.json"))
	}
	return files
}

// podmanConfig is the directory of the user's configuration of podman; "" is none.
func podmanConfig(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "containers")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "containers")
	}
	return ""
}

// sessionFiles are podman's files in the directories that Linux gives each user,
// without those that the user may not look at.
func sessionFiles(system string, uid int, stat func(string) (fs.FileInfo, error)) []string {
	if system != "linux" || uid < 0 {
		return nil
	}
	return slices.DeleteFunc([]string{
		fmt.Sprintf("/run/containers/%d/auth.json", uid), fmt.Sprintf("/run/user/%d/containers/auth.json", uid),
	}, func(path string) bool {
		_, err := stat(path)
		return errors.Is(err, fs.ErrPermission)
	})
}

// systemCertificateDirs are where podman and docker keep certificates of
// registries.
func systemCertificateDirs(getenv func(string) string) []string {
	var dirs []string
	if home := getenv("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".config", "containers", "certs.d"))
	}
	return append(dirs, "/etc/containers/certs.d", "/etc/docker/certs.d")
}
