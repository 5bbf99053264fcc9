package ci

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// signed are inputs that sign with the key pair of the tests.
func (w *world) signed(more inputs) (inputs, map[string]string) {
	in := inputs{"catalog": w.catalog(), "sign": "key", "sign-key": filepath.Join(bin, "cosign.key")}
	maps.Copy(in, more)
	return in, map[string]string{"COSIGN_PASSWORD": password, "WORKSPACE_SIGNING_KEY": bin}
}

// A pipeline publishes and signs, and says what; run again on the same image it
// changes nothing, whatever the run is called.
func TestPipelinePublishesAndSigns(t *testing.T) {
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			image := w.push("1")
			in, env := w.signed(inputs{"image": image, "name": "nightly", "version": "10.1", "tags": "a,b", "description": "First line\nand more", "arguments": "--target=qemu\n\n--label=team=os"})
			j := &job{world: w, inputs: in, number: "7", ref: "main", env: env}
			first := s.run(t, j)
			if first.code != 0 {
				t.Fatalf("exit code %d: %s", first.code, first.printed)
			}
			if got := first.outputs; got["name"] != "nightly" || got["outcome"] != "published" || !isDigest(got["digest"]) || !isDigest(got["revision"]) || len(got) != 4 {
				t.Errorf("outputs %v", got)
			}
			if !strings.Contains(first.printed, "published nightly "+first.outputs["digest"]+"\n") {
				t.Errorf("printed %q, want what was published", first.printed)
			}
			j.number, j.ref = "8", "other"
			again := s.run(t, j)
			want := maps.Clone(first.outputs)
			want["outcome"] = "unchanged"
			if diff := cmp.Diff(want, again.outputs); again.code != 0 || diff != "" {
				t.Errorf("again: exit code %d (-want +got)\n%s%s", again.code, diff, again.printed)
			}
			code, text := w.caib(nil, "get", "nightly", "--key", filepath.Join(bin, "cosign.pub"), "--verified")
			for _, line := range []string{`version: "10.1"`, "description: First line", "  - name: qemu", "  team: os", "/7\n", "  ref: ", "verdict: verified", "publishedBy: ", "revision: " + first.outputs["revision"]} {
				if code != 0 || !strings.Contains(text, line) {
					t.Errorf("get: exit code %d, want 0 and %q\n%s", code, line, text)
				}
			}
			if code, text := w.caib(nil, "history", "nightly", "-o", "name"); code != 0 || strings.Count(text, "\n") != 1 {
				t.Errorf("history: exit code %d, want one revision\n%s", code, text)
			}
		})
	}
}

func isDigest(text string) bool { return regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(text) }

// What goes wrong ends the job with caib's exit code, and gives no outputs.
func TestPipelineFails(t *testing.T) {
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			image := w.push("1")
			for _, tt := range []struct {
				name string
				more inputs
				code []int
				says string
			}{
				{"an image that is not there", inputs{"image": w.host + "/os/none:1"}, []int{4}, "not found"},
				{"an image that never comes", inputs{"image": w.host + "/os/none:1", "wait": "50ms"}, []int{4}, "waited 50ms"},
				{"no image", inputs{"image": ""}, []int{1, 2, 127}, "is missing: the image"},
				{"no catalog", inputs{"image": image, "catalog": ""}, []int{1, 2, 127}, "is missing: the catalog"},
				{"a way to sign that is none", inputs{"image": image, "sign": "pgp"}, []int{2}, "want keyless, key or none"},
				{"a name that is none", inputs{"image": image, "name": "No Name"}, []int{2}, "invalid"},
				{"an argument that is none", inputs{"image": image, "arguments": "--nonsense"}, []int{2}, "unknown flag"},
				{"another argument", inputs{"image": image, "arguments": "more"}, []int{2}, "unexpected argument"},
			} {
				in, env := w.signed(tt.more)
				got := s.run(t, &job{world: w, inputs: in, number: "7", ref: "main", env: env})
				if !slices.Contains(tt.code, got.code) || !strings.Contains(got.printed, tt.says) || len(got.outputs) > 0 {
					t.Errorf("%s: exit code %d, outputs %v, printed %q; want exit code %v and %q", tt.name, got.code, got.outputs, got.printed, tt.code, tt.says)
				}
			}
			if _, err := os.Stat(filepath.Join(w.home, ".local")); err == nil {
				t.Error("something was published to a directory of the runner")
			}
		})
	}
}

// Where the registry is GitLab's own, the job logs in with what GitLab gives it, tells
// nobody, and leaves no login behind. dash is the shell of small images.
func TestGitLabJobLogsIn(t *testing.T) {
	w := newWorld(t)
	j := &job{world: w, inputs: inputs{"image": w.push("1"), "catalog": w.catalog(), "sign": "none"}, number: "7", ref: "main"}
	w.shut.Store(true)
	if got := runGitLab(t, j); got.code != 3 {
		t.Errorf("without a login: exit code %d, want 3\n%s", got.code, got.printed)
	}
	for _, shell := range []string{"bash", "sh"} {
		temporary := t.TempDir()
		j.env = map[string]string{"CI_REGISTRY": w.host, "CI_REGISTRY_USER": "robot", "CI_REGISTRY_PASSWORD": "s3cret", "TMPDIR": temporary, shellOfImage: shell}
		got := runGitLab(t, j)
		if got.code != 0 || strings.Contains(got.printed, "s3cret") {
			t.Errorf("%s: exit code %d, want 0 and no password\n%s", shell, got.code, got.printed)
		}
		if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind %v, %v", shell, left, err)
		}
	}
}

// hostile is what somebody types who can name a branch, or write a commit message.
var hostile = []string{
	"; touch pwned;", "$(touch pwned)", "`touch pwned`", "${IFS}$(touch${IFS}pwned)", "'; touch pwned; '", `"; touch pwned; "`, "| touch pwned", "&& touch pwned &", "> pwned",
	"a\ntouch pwned\n", "a\nDESCRIPTION\ntouch pwned\n", "a\nARGUMENTS\ntouch pwned\n", "a\n::set-output name=x::y\n::add-mask::e\n", "a\nname=other\n", "--catalog=127.0.0.1:1/evil/catalog", "-f/etc/passwd", "--help",
	`\"; touch pwned`, "%s%n", "$(params.catalog)", "*", "~", "!!", "\x1b[2J", "\u202e", "a\",\n    \"name\": \"other",
}

// Nothing that a stranger types is run, taken for a flag or for a command to the runner,
// or becomes an output of its own.
func TestPipelineRunsNothingOfAStranger(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of runs")
	}
	for _, s := range systems {
		for where, names := range map[string][]string{"image": {"image"}, "commit": {"description"}, "rest": {"name", "version", "tags", "wait"}} {
			t.Run(s.name+"/"+where, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				image := w.push("1")
				for _, text := range hostile {
					in := inputs{"image": image, "catalog": w.catalog(), "sign": "none"}
					for _, name := range names {
						in[name] = text
					}
					got := s.run(t, &job{world: w, inputs: in, number: "7", ref: text})
					if found := traces(t); len(found) > 0 {
						t.Fatalf("%q was run: %v", text, found)
					}
					if count := len(got.outputs); got.outputs["name"] == "other" || (got.code == 0) != (count == 4) || got.code != 0 && count != 0 {
						t.Errorf("%q: exit code %d with outputs %v\n%s", text, got.code, got.outputs, got.printed)
					}
					if where == "image" && strings.HasPrefix(text, "-") && !strings.Contains(got.printed, "image: invalid: reference") {
						t.Errorf("%q was taken for a flag:\n%s", text, got.printed)
					}
				}
			})
		}
	}
}

// traces finds the files that a hostile text would have made, in the directories of
// this test.
func traces(t *testing.T) (found []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(t.TempDir()), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), "pwned") {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
