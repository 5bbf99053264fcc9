package catalog

import (
	"path/filepath"
	"runtime"
)

// The directories of a user, as each operating system has them; "" where the
// environment names none.

func cacheDir(getenv func(string) string) string {
	return userDir(getenv, "XDG_CACHE_HOME", "Library/Caches", ".cache")
}

// stateDir is for what must outlast a cache that is emptied.
func stateDir(getenv func(string) string) string {
	return userDir(getenv, "XDG_STATE_HOME", "Library/Application Support", ".local/state")
}

func userDir(getenv func(string) string, variable, darwin, unix string) string {
	if dir := getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "caib")
	}
	home, below := getenv("HOME"), unix
	switch runtime.GOOS {
	case "windows":
		home, below = getenv("LocalAppData"), ""
	case "darwin":
		below = darwin
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, below, "caib")
}
