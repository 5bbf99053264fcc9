package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A watch is killed by each event, before it is handled or after that, while others
// publish and remove. Those that go on with its state miss nothing: what decides each
// name in the end is handled.
func TestKilledWhileWatching(t *testing.T) {
	t.Parallel()
	const count = 16
	for _, through := range []string{"the log", "a server"} {
		t.Run(through, func(t *testing.T) {
			t.Parallel()
			w, dir := newWorld(t, targets()["layout"](t)), t.TempDir()
			images := w.pushMany("image", count)
			args := []string{"catalog", "watch", "--once", "--state", filepath.Join(dir, "state.json")}
			if through == "a server" {
				url, _ := w.serve()
				args = append(args, "--server", url)
			}
			w.ok(args...)
			seen := filepath.Join(dir, "seen")
			args = append(args, "--exec", `event=$(cat); first="`+dir+`/$(printf %s "$event" | cksum | tr ' ' -)"
				case $first in *[02468]-*) printf '%s\n' "$event" >>"`+seen+`";; esac
				mkdir "$first" 2>/dev/null && kill -9 $PPID && exit
				printf '%s\n' "$event" >>"`+seen+`"`)

			done := make(chan []entry.Event, 1)
			go func() { done <- w.changeAll(images) }()
			kills := 0
			var history []entry.Event
			for history == nil {
				kills += w.killed9(args)
				select {
				case history = <-done:
				default:
				}
			}
			last := map[string]string{}
			for _, event := range history {
				last[event.Name] = event.Tag
			}
			testwait.Until(t, "the watch to handle what is left", func() bool {
				before := kills
				kills += w.killed9(args)
				return kills == before && (through != "a server" || len(namesOf(handled(t, seen))) == len(last)) // it follows the log every second
			})
			all := map[string]bool{}
			for _, event := range handled(t, seen) {
				all[event.Tag] = true
			}
			for name, tag := range last {
				if !all[tag] {
					t.Errorf("what decides %s was not handled: %s", name, tag)
				}
			}
			if kills < len(last) {
				t.Errorf("%d watches were killed, want one for each of %d names at least", kills, len(last))
			}
		})
	}
}

// changeAll publishes each image under a name of its own, and removes every fourth. It
// returns the history.
func (w *world) changeAll(images []string) []entry.Event {
	c, err := catalog.Open(w.on.catalog, catalog.Options{})
	var history []entry.Event
	for n, image := range images {
		if err != nil {
			break
		}
		name := strings.ReplaceAll(image[strings.LastIndexByte(image, ':')+1:], "v", "e")
		if _, err = c.Publish(w.t.Context(), image, catalog.PublishOptions{Name: name}); err == nil && n%4 == 3 {
			_, err = c.Remove(w.t.Context(), name, catalog.RemoveOptions{})
		}
	}
	if err == nil {
		history, err = c.History(w.t.Context(), "")
	}
	if err != nil {
		w.t.Errorf("what is watched: %v", err)
		return []entry.Event{}
	}
	return history
}

// killed9 runs a watch, and returns 1 if it was killed.
func (w *world) killed9(args []string) int {
	w.t.Helper()
	result := w.run(args...)
	if result.Code > 0 {
		w.t.Fatalf("a watch ended with exit code %d\n%s", result.Code, result.Stderr)
	}
	return -result.Code // -1 is that of a process that a signal ends
}

func namesOf(events []entry.Event) map[string]bool {
	names := map[string]bool{}
	for _, event := range events {
		names[event.Name] = true
	}
	return names
}

// handled are the events that a command has seen.
func handled(t *testing.T, path string) (all []entry.Event) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var event entry.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		all = append(all, event)
	}
	return all
}
