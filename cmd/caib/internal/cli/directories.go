package cli

import (
	"fmt"
	"path/filepath"
	"runtime"

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

func configPath(getenv func(string) string) string {
	dir, err := homeDir(getenv, "XDG_CONFIG_HOME", "Library/Application Support", ".config")
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "caib", "config.yaml")
}
