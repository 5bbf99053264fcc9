package imagebuild

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// nightly is the build of build.yaml at a line of file f.
func nightly(line int) Build {
	at := func(offset int) string { return fmt.Sprintf("f:%d", line+offset) }
	return Build{
		Name: "autosd-nightly-77", Phase: "Completed", Position: at(0), ScheduleAt: at(9),
		Completed: Text{"2026-03-01T11:00:00Z", at(28)},
		Container: "registry.example.com/automotive/autosd:77", Disk: "registry.example.com/automotive/autosd-disk:77",
		Metadata: entry.Metadata{
			Architecture: "aarch64", Distro: "autosd10-sig", Targets: []entry.Target{{Name: "rpi4", Verified: true}},
			Bootc: true, BuildMode: "bootc", ExportFormat: "qcow2",
		},
		Labels: map[string]string{
			"automotive.sdv.cloud.redhat.com/aib-image":       "quay.io/centos-sig-automotive/automotive-image-builder:1.2",
			"automotive.sdv.cloud.redhat.com/builder-image":   "registry.example.com/automotive/aib-build:autosd",
			"automotive.sdv.cloud.redhat.com/completion-time": "2026-03-01T11:00:00Z",
		},
		Source: entry.Source{Type: entry.SourceScheduled, ImageBuild: "autosd-nightly-77", Schedule: "autosd-nightly"},
	}
}

const bare = `{"apiVersion": "automotive.sdv.cloud.redhat.com/v1alpha1", "kind": "ImageBuild",
	"metadata": {"name": "NAME"}, "status": {"phase": "Completed"}}`

func named(name string) string { return strings.Replace(bare, "NAME", name, 1) }

func bareBuild(name, position string) Build {
	return Build{
		Name: name, Phase: "Completed", Position: position, Metadata: entry.Metadata{BuildMode: "image"}, Labels: map[string]string{},
		Source: entry.Source{Type: entry.SourceImageBuild, ImageBuild: name},
	}
}

func TestParse(t *testing.T) {
	one := string(read(t, "build.yaml"))
	for _, tt := range []struct {
		name, text string
		want       []Build
	}{
		{"YAML", one, []Build{nightly(1)}},
		{"several documents", "---\n" + one + "---\n" + named("b") + "\n---\n---\n", []Build{nightly(2), bareBuild("b", "f:39")}},
		{"a list in YAML", "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(one, "\n", "\n  ") + "\n", []Build{nightly(4)}},
		{"JSON", named("a"), []Build{bareBuild("a", "f:1")}},
		{"JSON with a byte order mark, tabs and line breaks", "\ufeff\n\t\n" + named("a"), []Build{bareBuild("a", "f:3")}},
		{"JSON with escapes", named(`\ud83d\ude97\/\u003c`), []Build{bareBuild("🚗/<", "f:1")}},
		{"a list in JSON", `{"kind":"List","items":[` + "\n" + named("a") + ",\n" + named("b") + "]}", []Build{bareBuild("a", "f:2"), bareBuild("b", "f:4")}},
		{"an ImageBuildList", `{"kind":"ImageBuildList","items":[` + named("a") + "]}", []Build{bareBuild("a", "f:1")}},
		{"JSON documents", named("a") + "\n" + named("b"), []Build{bareBuild("a", "f:1"), bareBuild("b", "f:3")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text), "f")
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "f:1: there is no ImageBuild"},
		{"an empty list", `{"kind":"List","items":[]}`, "f:1: there is no ImageBuild"},
		{"another kind", "\nkind: Pod\n", `f:2: kind "Pod"`},
		{"another kind in a list", "kind: List\nitems:\n- kind: ImageBuild\n  apiVersion: " + apiVersion + "\n  metadata: {name: a}\n- kind: Pod\n", `f:6: kind "Pod"`},
		{"another version", strings.Replace(named("a"), "v1alpha1", "v2", 1), `f:1: apiVersion "automotive.sdv.cloud.redhat.com/v2"`},
		{"no name", named(""), "f:1: metadata.name is missing"},
		{"a long name", named(strings.Repeat("a", 1<<20)), "f:1: metadata.name is longer than 253 characters"},
		{"an annotation that is none", "kind: ImageBuild\nmetadata:\n  annotations:\n    automotive.sdv.cloud.redhat.com/catalog-image-name: [a]\n", "f:4: want text, not a list"},
		{"a list of words", "- a\n- b\n", "f:1: want an object"},
		{"a word", "\n\nhello\n", "f:3: want an object"},
		{"a map for a word", "kind: ImageBuild\nmetadata:\n  name: {a: b}\n", "f:3: want text, not a mapping"},
		{"a word for a map", "kind: ImageBuild\nspec: x\n", "f:2: want a mapping, not text"},
		{"a list for a word, in JSON", "{\"kind\": \"ImageBuild\",\n\"metadata\": {\n\"name\": []}}", "f:3: want text, not a list"},
		{"a word for a list", "kind: List\nitems: x\n", "f:2: want a list, not text"},
		{"a number for a map", "kind: ImageBuild\nmetadata: {labels: 7}\n", "f:2: want a mapping, not a number"},
		{"bytes for a map", "kind: ImageBuild\nmetadata: !!binary YQ==\n", "f:2: want a mapping, not this"},
		{"a key twice", "kind: ImageBuild\nkind: ImageBuild\n", "f:2: mapping key"},
		{"a key twice, in JSON", "{\"kind\": \"ImageBuild\",\n\"kind\": \"x\"}", "f:2: duplicate object member name"},
		{"bad indentation", "kind: ImageBuild\nmetadata:\n\tname: a\n", "f:3: found character"},
		{"JSON that ends", "{\"kind\": \"ImageBuild\",\n\"metadata\": {\"name\":", "f:2: "},
		{"JSON that is broken", "{\"kind\":\n x}", "f:2: invalid character 'x'"},
		{"JSON that is closed wrongly", "{\n]", "f:2: invalid character ']'"},
		{"bytes after JSON", named("a") + "\n}", "f:3: "},
		{"not UTF-8", "kind: ImageBuild\nmetadata: {name: \xff}\n", "f:2: a byte that is not text: 0xff"},
		{"a control character", "kind: ImageBuild\n# \x1b[2J\n", "f:2: a byte that is not text: 0x1b"},
		{"a missing anchor", "kind: ImageBuild\n---\n\nkind: *x\n", "unknown anchor 'x'"},
		{"an anchor that contains itself", "kind: ImageBuild\nmetadata: &a\n  labels: *a\n", "f:"},
		{"a bomb", "kind: ImageBuild\nmetadata:\n  labels:\n" + bomb(), "f:"},
		{"a large file", strings.Repeat(" ", MaxFile+1), "f:1: longer than 16777216 bytes"},
		{"many members", "kind: ImageBuild\nmetadata:\n  annotations:\n" + members("    k%d: v\n", 200_000), "f:4: more than 1000 members"},
		{"many members in JSON", `{"kind":"ImageBuild","metadata":{"labels":{` + members("\"k%d\":\"v\",\n", 200_000) + `"k":"v"}}}`, "f:1: more than 1000 members"},
		{"many members that nobody reads", members("k%d: v\n", 1001), "f:1: more than 1000 members"},
		{"a long kind", "kind: \"" + strings.Repeat("x\\e[2J", 1<<18) + "\"\n", `f:1: kind "x\x1b[2J`},
		{"a long member twice", strings.Repeat(strings.Repeat("y", 1000)+": 1\n", 2), "f:2: mapping key"},
		{"a long anchor", "kind: *" + strings.Repeat("y", 1<<20) + "\n", "unknown anchor"},
		{"many documents", strings.Repeat("---\nkind: List\n", maxBuilds+1), ": more than 10000 documents"},
		{"many documents in JSON", strings.Repeat("{\"kind\":\"List\"}\n", maxBuilds+1), ": more than 10000 documents"},
		{"many builds", `{"kind":"List","items":[` + strings.Repeat(named("a")+",\n", maxBuilds) + named("a") + "]}", ": more than 10000 builds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text), "f")
			if !errors.Is(err, entry.ErrInvalid) || got != nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 400 {
				t.Errorf("%d builds, %.300v; want %q", len(got), err, tt.want)
			}
		})
	}
}

// members repeats a member with other numbers.
func members(format string, count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// bomb is a mapping whose aliases would make gigabytes.
func bomb() string {
	var b strings.Builder
	b.WriteString("    a0: &a0 {x: y}\n")
	for i := range 9 {
		b.WriteString("    a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " {")
		for n := range 9 {
			b.WriteString("k" + string(rune('0'+n)) + ": *a" + string(rune('0'+i)) + ", ")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func TestImage(t *testing.T) {
	for _, tt := range []struct {
		name, phase, container, disk, want, fails string
	}{
		{"a container", "Completed", "r.example.com/c", "", "r.example.com/c", ""},
		{"a container with a disk", "Completed", "r.example.com/c", "r.example.com/d", "r.example.com/c", ""},
		{"a disk", "Completed", "", "r.example.com/d", "r.example.com/d", ""},
		{"S3", "Completed", "s3", "", "", `f:3: build "b" exports to S3 alone`},
		{"neither", "Completed", "", "", "", `f:3: build "b" exports neither`},
		{"not completed", "Building", "r.example.com/c", "", "", `f:3: build "b" is Building`},
		{"failed", "Failed", "r.example.com/c", "", "", `f:3: build "b" is Failed`},
		{"completed in other letters", "completed", "r.example.com/c", "", "", `is completed`},
		{"a phase with control characters", "\x1b[2J", "r.example.com/c", "", "", `is "\x1b[2J": only`},
		{"a long phase", strings.Repeat("x", 1<<20), "r.example.com/c", "", "", `xxx"…: only`},
		{"no status", "", "r.example.com/c", "", "", `f:3: build "b" is not begun`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := Build{Name: "b", Phase: tt.phase, Container: tt.container, Disk: tt.disk, Position: "f:3"}
			if tt.container == "s3" {
				b.Container, b.S3 = "", true
			}
			got, err := b.Image()
			if got != tt.want || (err == nil) != (tt.fails == "") || (err != nil && (!errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), tt.fails))) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestModesAndFormats(t *testing.T) {
	for mode, want := range map[string]string{"": "image", "image": "image", "package": "package", "bootc": "bootc", "disk": "bootc"} {
		text := strings.Replace(named("a"), `"status"`, `"spec":{"aib":{"mode":"`+mode+`"},"export":{"format":"image"}},"status"`, 1)
		got, err := Parse([]byte(text), "f")
		if err != nil || got[0].Metadata.BuildMode != want || got[0].Metadata.Bootc != (want == "bootc") || got[0].Metadata.ExportFormat != "raw" {
			t.Errorf("%q: %+v, %v", mode, got, err)
		}
	}
}

// Whatever the file, reading it ends with builds or with a place in the file.
func FuzzParse(f *testing.F) {
	// Small seeds: the fuzzer spends its time on making large ones smaller.
	f.Add([]byte("apiVersion: " + apiVersion + "\nkind: ImageBuild\nmetadata: {name: a}\n"))
	f.Add([]byte(named("a")))
	f.Add([]byte("kind: List\nitems:\n- kind: ImageBuild\n"))
	for _, text := range malformed(f, "testdata/malformed.txt") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		builds, err := Parse(text, "f")
		if err != nil && (!errors.Is(err, entry.ErrInvalid) || !placed.MatchString(err.Error())) {
			t.Errorf("%v", err)
		}
		if (err == nil) == (len(builds) == 0) {
			t.Errorf("%d builds, %v", len(builds), err)
		}
	})
}
