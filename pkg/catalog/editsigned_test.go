package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/trust"
)

// signedEditors sign what they publish and edit, each by a clock of its own.
type signedEditors struct {
	*world
	sign   *catalog.Signing
	policy *trust.Policy
	now    time.Time
}

func newSignedEditors(t *testing.T) *signedEditors {
	t.Helper()
	e := &signedEditors{world: newWorld(t, true, nil), sign: team(t), now: time.Now()}
	e.policy = trusting(t, e.sign)
	e.push("os/app", "1", "1")
	e.push("os/app", "2", "2")
	e.published("/team/catalog", -20*time.Minute, "1", "1")
	return e
}

func (e *signedEditors) at(name string, clock time.Duration) *catalog.Catalog {
	e.t.Helper()
	c, err := catalog.Open(e.host+name, catalog.Options{
		Registry: e.newClient(), CacheDir: e.t.TempDir(), StateDir: e.t.TempDir(), Recheck: time.Millisecond,
		Policy: e.policy, Now: func() time.Time { return e.now.Add(clock) },
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

func (e *signedEditors) published(name string, clock time.Duration, image, version string) (tag string) {
	e.t.Helper()
	return e.publish(e.at(name, clock), e.host+"/os/app:"+image, catalog.PublishOptions{Name: "app", Version: version, Sign: e.sign, NoAttach: true}).Tag
}

func (e *signedEditors) edit(clock time.Duration, word string) (wrote []string, err error) {
	e.t.Helper()
	requests := e.counter.during(func() {
		_, err = e.at("/team/catalog", clock).Edit(e.t.Context(), "app", entry.Change{AddTags: []string{word}}, catalog.EditOptions{Sign: e.sign})
	})
	return writes(requests), err
}

func (e *signedEditors) wantLive(tags ...string) {
	e.t.Helper()
	item, err := e.at("/team/catalog", 0).Get(e.t.Context(), "app", catalog.GetOptions{})
	if err != nil || item.Version != "1" || !slices.Equal(slices.Sorted(slices.Values(item.Tags)), tags) || item.Verdict != entry.VerdictVerified {
		e.t.Errorf("version %q, tags %v, %s, %v; want 1, %v, verified", item.Version, item.Tags, item.Verdict, err, tags)
	}
}

// What was signed for another catalog, and was copied to where an edit hides it, the
// next edit neither signs as the head nor takes anything from.
func TestASignedEditLeavesWhatWasCopiedWhereItIs(t *testing.T) {
	for name, copied := range map[string]func(e *signedEditors) string{
		"another image": func(e *signedEditors) string { return e.published("/team/staging", -10*time.Minute, "2", "2") },
		"other words":   func(e *signedEditors) string { return e.published("/team/staging", -10*time.Minute, "1", "9") },
		"a removal": func(e *signedEditors) string {
			e.published("/team/staging", -15*time.Minute, "1", "1")
			if _, err := e.at("/team/staging", -10*time.Minute).Remove(e.t.Context(), "app", catalog.RemoveOptions{Sign: e.sign}); err != nil {
				e.t.Fatal(err)
			}
			tags, err := e.repository("team/staging").Tags(e.t.Context())
			if err != nil {
				e.t.Fatal(err)
			}
			return tags[slices.IndexFunc(tags, func(tag string) bool {
				parsed, ok := revision.ParseTag(tag)
				return ok && parsed.Op == revision.OpRemove
			})]
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newSignedEditors(t)
			if _, err := e.edit(-5*time.Minute, "first"); err != nil {
				t.Fatal(err)
			}
			e.copyTo(copied(e), "team/staging", "team/catalog")
			e.wantLive("first")
			if _, err := e.edit(0, "second"); err != nil {
				t.Errorf("the next edit: %v", err)
			}
			e.wantLive("first", "second")
		})
	}
}

// What was deleted from this catalog, and was put back to where an edit hides it, the
// next edit does not sign either: it names it, and writes nothing.
func TestASignedEditSignsNoOtherImage(t *testing.T) {
	e := newSignedEditors(t)
	deleted := e.published("/team/catalog", -10*time.Minute, "2", "2")
	e.copyTo(deleted, "team/catalog", "team/kept")
	e.remove(deleted)
	if _, err := e.edit(-5*time.Minute, "first"); err != nil {
		t.Fatal(err)
	}
	e.copyTo(deleted, "team/kept", "team/catalog")
	wrote, err := e.edit(0, "second")
	if !errors.Is(err, entry.ErrConflict) || !strings.Contains(err.Error(), deleted) || len(wrote) > 0 {
		t.Errorf("error %v, wrote %v; want a conflict that names %s, and nothing written", err, wrote, deleted)
	}
	e.wantLive("first")
}
