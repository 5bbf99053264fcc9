package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
)

// The directories of a user, as each operating system has them.

func homeDir(getenv func(string) string, variable, darwin, unix string) (string, error) {
	if dir := getenv(variable); dir != "" && filepath.IsAbs(dir) {
		return dir, nil
	}
	switch runtime.GOOS {
	case "windows":
		if dir := getenv("LocalAppData"); dir != "" {
			return dir, nil
		}
	case "darwin":
		if home := getenv("HOME"); home != "" {
			return filepath.Join(home, darwin), nil
		}
	default:
		if home := getenv("HOME"); home != "" {
			return filepath.Join(home, unix), nil
		}
	}
	return "", fmt.Errorf("%w: no home directory is set: give --catalog", entry.ErrInvalid)
}

func dataDir(getenv func(string) string) (string, error) {
	return homeDir(getenv, "XDG_DATA_HOME", "Library/Application Support", ".local/share")
}

func cacheDir(getenv func(string) string) (string, error) {
	return homeDir(getenv, "XDG_CACHE_HOME", "Library/Caches", ".cache")
}

// stateDir is for what must outlast a cache that is emptied.
func stateDir(getenv func(string) string) (string, error) {
	return homeDir(getenv, "XDG_STATE_HOME", "Library/Application Support", ".local/state")
}

func configPath(getenv func(string) string) string {
	dir, err := homeDir(getenv, "XDG_CONFIG_HOME", "Library/Application Support", ".config")
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "caib", "config.yaml")
}

func dockerConfigPath(getenv func(string) string) string {
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

// podmanAuthFiles are where podman keeps its logins, those of this session
// first; others are where it keeps them without one.
func podmanAuthFiles(getenv func(string) string, others []string) []string {
	var files []string
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	}
	for _, file := range others {
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if dir := containersDir(getenv); dir != "" {
		files = append(files, filepath.Join(dir, "auth.json"))
	}
	return files
}

// runtimeAuthFiles are podman's files of a user in the directories that the
// system gives each user, as far as the user may look there.
func runtimeAuthFiles(system string, uid int, stat func(string) (fs.FileInfo, error)) []string {
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

// certificateDirs are where podman and docker keep certificates of registries.
func certificateDirs(getenv func(string) string) []string {
	var dirs []string
	if home := getenv("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".config", "containers", "certs.d"))
	}
	return append(dirs, "/etc/containers/certs.d", "/etc/docker/certs.d")
}

func containersDir(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "containers")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "containers")
	}
	return ""
}
