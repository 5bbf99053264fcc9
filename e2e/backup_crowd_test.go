package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// crowdOf are so many processes, each of which publishes and removes one entry in turn,
// so often, and tells when it has done so for the first time.
func (s *source) crowdOf(processes, rounds int, key string, began chan<- struct{}) func() error {
	images := make([]string, processes)
	for n := range images {
		images[n] = s.on.image(fmt.Sprintf("crowd%d", n)) + ":1"
		if err := s.build("plain", images[n]); err != nil {
			s.t.Fatal(err)
		}
	}
	var group errgroup.Group
	for n, image := range images {
		env := s.elsewhere().env
		run := func(args ...string) error {
			if result := tools.Run(s.t, env, s.caib, append([]string{"catalog"}, args...)...); result.Code != 0 {
				return fmt.Errorf("%v: exit code %d: %s", args, result.Code, result.Stderr)
			}
			return nil
		}
		group.Go(func() error {
			defer func() { began <- struct{}{} }()
			name := fmt.Sprintf("crowd-%d", n)
			for round := range rounds {
				if err := run("publish", image, "--name", name, "--version", fmt.Sprint(round), "--sign-key", key); err != nil {
					return err
				}
				if round == 0 {
					began <- struct{}{}
				}
				if (round+n)%2 == 0 {
					if err := run("remove", name, "--force", "--sign-key", key); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return group.Wait
}

// deciding are the revisions that decide names, by their tags.
func deciding(events []entry.Event) map[string]string {
	last := map[string]string{}
	for _, event := range events {
		last[event.Name] = max(last[event.Name], event.Tag)
	}
	return last
}

// A backup that is made while eight processes publish and remove holds of each name what
// decided it when the backup began, or at a time since; what is restored is whole.
func TestBackedUpWhileOthersPublish(t *testing.T) {
	t.Parallel()
	s := newSource(t, "ggcr")
	s.fill(0, entryKinds)
	const processes = 8
	began := make(chan struct{}, 2*processes)
	ended := s.crowdOf(processes, 1+tenth(20), s.private, began)
	<-began // one of them has published, and goes on
	before, file := deciding(s.events()), filepath.Join(t.TempDir(), "catalog.tar")
	s.ok("catalog", "backup", s.on.catalog, file, "--policy", s.policy())
	during := len(s.events())
	if err := ended(); err != nil {
		t.Fatal(err)
	}
	happened := map[string]bool{}
	after := s.events()
	for _, event := range after {
		happened[event.Tag] = true
	}
	s.of.stop()

	restored := newWorld(t, target{catalog: "oci:" + filepath.Join(t.TempDir(), "restored")})
	restored.ok("catalog", "restore", file, restored.on.catalog, "--policy", s.policy())
	c, err := catalog.Open(restored.on.catalog, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events, err := c.History(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := deciding(events)
	t.Logf("%d names when the backup began, %d events when it ended and %d at the end; %d in the backup", len(before), during, len(after), len(events))
	for name, tag := range got {
		if !happened[tag] || tag < before[name] {
			t.Errorf("%s is decided by %q in the backup, and was by %q when it began", name, tag, before[name])
		}
	}
	for name, tag := range before {
		if got[name] == "" {
			t.Errorf("%s is not in the backup, and was decided by %s when it began", name, tag)
		}
	}
	if diff := cmp.Diff(len(restored.items(s.public)), live(events)); diff != "" {
		t.Errorf("entries that are shown, and those of the history:\n%s", diff)
	}
	restored.verified(s.public)
}

// live counts the names that a publication decides.
func live(events []entry.Event) (count int) {
	last := deciding(events)
	for _, event := range events {
		if last[event.Name] == event.Tag && event.Operation != "remove" {
			count++
		}
	}
	return count
}
