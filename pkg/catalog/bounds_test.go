package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A catalog that is open for months holds no more than so many repositories and
// warnings, and tells the same warning once.
func TestLongLivedCatalogIsBounded(t *testing.T) {
	told := 0
	c, err := Open("registry.example.com/team/catalog", Options{Warn: func(Warning) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 * maxOpened {
		ref, err := registry.ParseReference(fmt.Sprintf("registry.example.com/team/image-%d:1", n))
		if err != nil {
			t.Fatal(err)
		}
		first, err := c.opener.openAgain(ref)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := c.opener.openAgain(ref); err != nil || second != first {
			t.Errorf("%s was opened twice (%v)", ref, err)
		}
	}
	if open := c.opener.recent.Len(); open > 256 {
		t.Errorf("%d repositories are open, want no more than 256", open)
	}
	for n := range 2 * maxWarned {
		c.warn(WarnLog, "", fmt.Errorf("warning %d", n))
		c.warn(WarnLog, "", fmt.Errorf("warning %d", n))
	}
	if told != 2*maxWarned {
		t.Errorf("told %d warnings, want each of %d once", told, 2*maxWarned)
	}
	if known := c.warnings.told.Len(); known > 4096 {
		t.Errorf("%d warnings are remembered, want no more than 4096", known)
	}
}

func TestDirectories(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has other variables")
	}
	home := t.TempDir()
	open := func(options Options) (cache, state string) {
		c, err := Open("registry.example.com/team/catalog", options)
		if err != nil {
			t.Fatal(err)
		}
		return c.options.CacheDir, c.options.StateDir
	}
	environment := func(pairs map[string]string) func(string) string {
		return func(name string) string { return pairs[name] }
	}
	xdg := environment(map[string]string{"XDG_CACHE_HOME": home + "/c", "XDG_STATE_HOME": home + "/s"})
	for _, tt := range []struct {
		name         string
		options      Options
		cache, state string
	}{
		{"no environment", Options{}, "", ""},
		{"one without a home", Options{Getenv: environment(nil)}, "", ""},
		{"one that names them", Options{Getenv: xdg}, filepath.Join(home, "c", "caib"), filepath.Join(home, "s", "caib")},
		{"given besides", Options{Getenv: xdg, CacheDir: "mine", StateDir: "also"}, "mine", "also"},
	} {
		if cache, state := open(tt.options); cache != tt.cache || state != tt.state {
			t.Errorf("%s: %q and %q, want %q and %q", tt.name, cache, state, tt.cache, tt.state)
		}
	}
	if cache, state := open(Options{Getenv: environment(map[string]string{"HOME": home})}); runtime.GOOS == "linux" &&
		(cache != filepath.Join(home, ".cache", "caib") || state != filepath.Join(home, ".local", "state", "caib")) {
		t.Errorf("below HOME: %q and %q", cache, state)
	}
}

// An error of a warning is there to be matched.
func TestWarningOfALoss(t *testing.T) {
	var lost *LostError
	c, err := Open("registry.example.com/team/catalog", Options{Warn: func(w Warning) { errors.As(w.Err, &lost) }})
	if err != nil {
		t.Fatal(err)
	}
	if c.warn(WarnLog, "a", newLostError("a", revision.Tag{})); lost == nil || lost.Name != "a" {
		t.Errorf("the warning is of %v, want of entry a", lost)
	}
}

// Whoever may write beside an image cannot hide its entry behind many other artifacts.
func TestAttachmentsAreFoundAmongMany(t *testing.T) {
	var referrers []ocispec.Descriptor
	for range 2 * maxAttachments {
		referrers = append(referrers, ocispec.Descriptor{ArtifactType: "application/x.other"})
	}
	referrers = append(referrers, ocispec.Descriptor{ArtifactType: revision.MediaTypeEntry})
	found := attachmentsFirst(referrers)
	if len(found) != maxAttachments || found[0].ArtifactType != revision.MediaTypeEntry {
		t.Errorf("%d referrers, the first is %q; want %d, and the entry first", len(found), found[0].ArtifactType, maxAttachments)
	}
}
