package catalog_test

import (
	"errors"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A version that only a stranger's removals ended is refused, and not said to be
// absent, whatever was published after them; one that the team ended is absent.
func TestStrangersEndNoVersion(t *testing.T) {
	w, ours := newWorld(t, true, nil), team(t)
	anybody := w.open(catalog.Options{})
	publish := func(version string, sign *catalog.Signing) {
		w.publish(anybody, w.push("team/image", version, version), catalog.PublishOptions{Name: "a", Version: version, Sign: sign, NoAttach: true})
	}
	remove := func(sign *catalog.Signing) {
		t.Helper()
		if _, err := anybody.Remove(t.Context(), "a", catalog.RemoveOptions{Sign: sign}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(version string) error {
		reader := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, ours)})
		_, err := reader.Get(t.Context(), "a", catalog.GetOptions{Version: version})
		return err
	}
	refused := func(err error) bool {
		var refused *trust.Error
		return errors.As(err, &refused) && refused.Verdict == entry.VerdictUnsigned
	}
	publish("1", ours)
	remove(nil)
	publish("2", nil)
	if err := get("1"); !refused(err) {
		t.Errorf("ended by a stranger, who published after that: %v, want the removal refused", err)
	}
	if err := get("never"); !errors.Is(err, entry.ErrNotFound) {
		t.Errorf("a version that never was: %v, want not found", err)
	}
	publish("3", ours)
	if err := get("1"); !refused(err) {
		t.Errorf("ended by a stranger, and published by the team after that: %v, want the removal refused", err)
	}
	remove(ours)
	publish("4", nil)
	remove(nil)
	publish("5", ours)
	if err := get("1"); !errors.Is(err, entry.ErrNotFound) {
		t.Errorf("ended by the team as well: %v, want not found", err)
	}
}
