package revision

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

// pointers packs a document that cannot be packed, and returns where its
// problems are.
func pointers(t *testing.T, document *Document) []string {
	t.Helper()
	_, err := Pack(document, Seen{})
	var invalid *entry.ValidationError
	if !errors.As(err, &invalid) || !errors.Is(err, entry.ErrInvalid) {
		t.Fatalf("want a ValidationError, got %v", err)
	}
	var all []string
	for _, problem := range invalid.Problems {
		all = append(all, problem.Pointer)
	}
	return all
}

func TestValidationBounds(t *testing.T) {
	long := func(n int) string { return strings.Repeat("v", n) }
	for _, tt := range []struct {
		pointer string
		good    func(*Document)
		bad     func(*Document)
	}{
		{"/version", func(d *Document) { d.Version = long(128) }, func(d *Document) { d.Version = long(129) }},
		{"/version", func(d *Document) { d.Version = "v1:2+3~4_5-6" }, func(d *Document) { d.Version = "-1" }},
		{"/description", func(d *Document) { d.Description = strings.Repeat("ä", 4096) }, func(d *Document) { d.Description = long(4097) }},
		{"/image/reference", func(d *Document) { d.Image.Reference = long(1024) }, func(d *Document) { d.Image.Reference = long(1025) }},
		{"/image/reference", func(d *Document) { d.Image.Reference = "r" }, func(d *Document) { d.Image.Reference = "" }},
		{"/image/digest", func(*Document) {}, func(d *Document) { d.Image.Digest = "sha256:../../etc/passwd" }},
		{"/image/digest", func(*Document) {}, func(d *Document) { d.Image.Digest = d.Image.Digest[:70] }},
		{"/image/mediaType", func(*Document) {}, func(d *Document) { d.Image.MediaType = "text" }},
		{"/image/size", func(d *Document) { d.Image.Size = 1<<53 - 1 }, func(d *Document) { d.Image.Size = 1 << 53 }},
		{"/image/size", func(d *Document) { d.Image.Size = 0 }, func(d *Document) { d.Image.Size = -1 }},
		{"/tags", func(d *Document) { d.Tags = numbered(64) }, func(d *Document) { d.Tags = numbered(65) }},
		{"/tags", func(*Document) {}, func(d *Document) { d.Tags = []string{"a", "b", "a"} }},
		{"/tags/1", func(d *Document) { d.Tags[1] = long(128) }, func(d *Document) { d.Tags[1] = long(129) }},
		{"/tags/1", func(d *Document) { d.Tags[1] = "a.b_c:d/e@f+g-h" }, func(d *Document) { d.Tags[1] = "a b" }},
		{"/metadata/buildMode", func(d *Document) { d.Metadata.BuildMode = "package" }, func(d *Document) { d.Metadata.BuildMode = "disk" }},
		{"/metadata/distro", func(d *Document) { d.Metadata.Distro = long(256) }, func(d *Document) { d.Metadata.Distro = long(257) }},
		{"/metadata/targets", func(d *Document) { d.Metadata.Targets = targets(64) }, func(d *Document) { d.Metadata.Targets = targets(65) }},
		{"/metadata/targets/0/name", func(*Document) {}, func(d *Document) { d.Metadata.Targets[0].Name = "" }},
		{"/registry/platforms", func(d *Document) { d.Registry.Platforms = platforms(256) }, func(d *Document) { d.Registry.Platforms = platforms(257) }},
		{"/registry/platforms/1/digest", func(*Document) {}, func(d *Document) { d.Registry.Platforms[1].Digest = "sha1:00" }},
		{"/registry/sizeBytes", func(*Document) {}, func(d *Document) { d.Registry.SizeBytes = -1 }},
		{"/registry/layerCount", func(d *Document) { d.Registry.LayerCount = 1e6 }, func(d *Document) { d.Registry.LayerCount = 1e6 + 1 }},
		{"/artifacts", func(d *Document) { d.Artifacts = artifacts(256) }, func(d *Document) { d.Artifacts = artifacts(257) }},
		{"/artifacts/0/type", func(*Document) {}, func(d *Document) { d.Artifacts[0].Type = "" }},
		{"/source/type", func(d *Document) { d.Source.Type = entry.SourceImageBuild }, func(d *Document) { d.Source.Type = "manual" }},
		{"/labels", func(d *Document) { d.Labels = labels(128) }, func(d *Document) { d.Labels = labels(129) }},
		{"/labels/team", func(d *Document) { d.Labels["team"] = long(1024) }, func(d *Document) { d.Labels["team"] = long(1025) }},
		{"/build/system", func(d *Document) { d.Build.System = long(64) }, func(d *Document) { d.Build.System = long(65) }},
		{"/build/system", func(d *Document) { d.Build.System = "zuul_9.1-x" }, func(d *Document) { d.Build.System = "Zuul" }},
		{"/build/url", func(d *Document) { d.Build.URL = "http://ci/" + long(1014) }, func(d *Document) { d.Build.URL = "http://ci/" + long(1015) }},
		{"/build/url", func(d *Document) { d.Build.URL = "https://[::1]:8443/a?b=c#d@e" }, func(d *Document) { d.Build.URL = "https://me:secret@ci/a" }},
		{"/build/url", func(d *Document) { d.Build.URL = "https://ci/%22" }, func(d *Document) { d.Build.URL = "https://ci/\"" }},
		{"/build/url", func(d *Document) { d.Build.URL = "http://ci" }, func(d *Document) { d.Build.URL = "javascript:alert(1)" }},
		{"/build/commit", func(d *Document) { d.Build.Commit = "0123abc" }, func(d *Document) { d.Build.Commit = "0123ab" }},
		{"/build/commit", func(d *Document) { d.Build.Commit = strings.Repeat("f", 64) }, func(d *Document) { d.Build.Commit = "0123ABC" }},
		{"/build/ref", func(d *Document) { d.Build.Ref = long(256) }, func(d *Document) { d.Build.Ref = long(257) }},
		{"/publishedBy", func(d *Document) { d.PublishedBy = long(256) }, func(d *Document) { d.PublishedBy = long(257) }},
	} {
		t.Run(tt.pointer, func(t *testing.T) {
			good, bad := fullDocument(), fullDocument()
			tt.good(good)
			mustPack(t, good)
			tt.bad(bad)
			if diff := cmp.Diff([]string{tt.pointer}, pointers(t, bad)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func numbered(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("t", i))
	}
	return all
}

func targets(n int) (all []entry.Target) {
	for _, name := range numbered(n) {
		all = append(all, entry.Target{Name: name})
	}
	return all
}

func platforms(n int) (all []entry.Platform) {
	for range n {
		all = append(all, fullDocument().Registry.Platforms[0])
	}
	return all
}

func artifacts(n int) (all []Artifact) {
	for range n {
		all = append(all, fullDocument().Artifacts[0])
	}
	return all
}

func labels(n int) map[string]string {
	all := map[string]string{}
	for _, name := range numbered(n) {
		all[name] = ""
	}
	return all
}

// Every string of a document ends up on somebody's terminal.
func TestTextFieldsTakeNoControlCharacters(t *testing.T) {
	fields := map[string]func(*Document, string){
		"/name":                              func(d *Document, s string) { d.Name = s },
		"/version":                           func(d *Document, s string) { d.Version = s },
		"/description":                       func(d *Document, s string) { d.Description = s },
		"/image/reference":                   func(d *Document, s string) { d.Image.Reference = s },
		"/image/mediaType":                   func(d *Document, s string) { d.Image.MediaType = s },
		"/tags/0":                            func(d *Document, s string) { d.Tags[0] = s },
		"/metadata/architecture":             func(d *Document, s string) { d.Metadata.Architecture = s },
		"/metadata/os":                       func(d *Document, s string) { d.Metadata.OS = s },
		"/metadata/variant":                  func(d *Document, s string) { d.Metadata.Variant = s },
		"/metadata/distro":                   func(d *Document, s string) { d.Metadata.Distro = s },
		"/metadata/distroVersion":            func(d *Document, s string) { d.Metadata.DistroVersion = s },
		"/metadata/kernelVersion":            func(d *Document, s string) { d.Metadata.KernelVersion = s },
		"/metadata/targets/0/name":           func(d *Document, s string) { d.Metadata.Targets[0].Name = s },
		"/metadata/targets/0/notes":          func(d *Document, s string) { d.Metadata.Targets[0].Notes = s },
		"/metadata/buildMode":                func(d *Document, s string) { d.Metadata.BuildMode = s },
		"/metadata/exportFormat":             func(d *Document, s string) { d.Metadata.ExportFormat = s },
		"/registry/platforms/0/os":           func(d *Document, s string) { d.Registry.Platforms[0].OS = s },
		"/registry/platforms/0/variant":      func(d *Document, s string) { d.Registry.Platforms[0].Variant = s },
		"/registry/platforms/1/architecture": func(d *Document, s string) { d.Registry.Platforms[1].Architecture = s },
		"/artifacts/0/type":                  func(d *Document, s string) { d.Artifacts[0].Type = s },
		"/artifacts/0/reference":             func(d *Document, s string) { d.Artifacts[0].Reference = s },
		"/artifacts/0/format":                func(d *Document, s string) { d.Artifacts[0].Format = s },
		"/artifacts/0/title":                 func(d *Document, s string) { d.Artifacts[0].Title = s },
		"/artifacts/0/partition":             func(d *Document, s string) { d.Artifacts[0].Partition = s },
		"/source/type":                       func(d *Document, s string) { d.Source.Type = entry.SourceType(s) },
		"/source/imageBuild":                 func(d *Document, s string) { d.Source.ImageBuild = s },
		"/source/schedule":                   func(d *Document, s string) { d.Source.Schedule = s },
		"/labels/team":                       func(d *Document, s string) { d.Labels["team"] = s },
		"/publishedBy":                       func(d *Document, s string) { d.PublishedBy = s },
		"/build/system":                      func(d *Document, s string) { d.Build.System = s },
		"/build/url":                         func(d *Document, s string) { d.Build.URL = "https://ci/" + s },
		"/build/commit":                      func(d *Document, s string) { d.Build.Commit = s },
		"/build/ref":                         func(d *Document, s string) { d.Build.Ref = s },
	}
	hostile := []string{"\x00", "\t", "\n", "\r", "\x1b[2J", "\x7f", "\u0085", "\u009b2J", "\u061c", "\u200b", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff"}
	for pointer, set := range fields {
		texts := []string{"\x1b[2J", "\u202e"}
		if pointer == "/description" { // the pattern is one and the same
			texts = hostile
		}
		for _, text := range texts {
			document := fullDocument()
			set(document, "a"+text+"b")
			if pointer == "/name" { // the tag needs it, so it is checked before
				if _, err := Pack(document, Seen{}); !errors.Is(err, entry.ErrInvalid) {
					t.Errorf("name with %q: %v", text, err)
				}
				continue
			}
			if diff := cmp.Diff([]string{pointer}, pointers(t, document)); diff != "" {
				t.Errorf("%s with %q:\n%s", pointer, text, diff)
			}
		}
	}
}

func TestRemovalValidation(t *testing.T) {
	for _, tt := range []struct {
		pointer string
		edit    func(*Removal)
	}{
		{"/reason", func(r *Removal) { r.Reason = "\x1b[2J" }},
		{"/reason", func(r *Removal) { r.Reason = strings.Repeat("v", 1025) }},
		{"/removedBy", func(r *Removal) { r.RemovedBy = "\u202e" }},
		{"/removedBy", func(r *Removal) { r.RemovedBy = strings.Repeat("v", 257) }},
		{"/revision", func(r *Removal) { r.Revision = "" }},
	} {
		removal := sampleRemoval("autosd")
		tt.edit(removal)
		_, err := PackRemoval(removal, Seen{})
		var invalid *entry.ValidationError
		if !errors.As(err, &invalid) || invalid.Document != "removal" || len(invalid.Problems) != 1 || invalid.Problems[0].Pointer != tt.pointer {
			t.Errorf("%s: %v", tt.pointer, err)
		}
	}
}

// What a stranger wrote must not reach a terminal by way of our complaint.
func TestValidationErrorsArePrintable(t *testing.T) {
	document := sampleDocument("autosd")
	document.Labels = map[string]string{"\x1b[2J\u202e": "\x1b[2J"}
	document.Version = "\x1b[2J"
	_, err := Pack(document, Seen{})
	for _, r := range err.Error() {
		if !strconv.IsPrint(r) {
			t.Fatalf("%q", err)
		}
	}
	if !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), `/labels/\x1b[2J\u202e: `) {
		t.Error(err)
	}
}

func TestPackRefusesBrokenUTF8(t *testing.T) {
	document := sampleDocument("autosd")
	document.Description = "Auto\xffSD"
	if packed, err := Pack(document, Seen{}); !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("%v, %v", packed, err)
	}
	removal := sampleRemoval("autosd")
	removal.Reason = "\xff"
	if packed, err := PackRemoval(removal, Seen{}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("%v, %v", packed, err)
	}
}

func TestLabelKeys(t *testing.T) {
	for key, ok := range map[string]bool{
		"a": true, "team/stage": true, "A.b_c-d": true, strings.Repeat("k", 253): true,
		"": false, "-a": false, "a/": false, "a b": false, "\x1b[2J": false, "ä": false, strings.Repeat("k", 254): false,
	} {
		document := sampleDocument("autosd")
		document.Labels = map[string]string{key: "v"}
		_, err := Pack(document, Seen{})
		if ok != (err == nil) || (err != nil && !errors.Is(err, entry.ErrInvalid)) {
			t.Errorf("label key %q: %v", key, err)
		}
		var invalid *entry.ValidationError
		if errors.As(err, &invalid) && len(invalid.Problems) != 1 {
			t.Errorf("label key %q: %+v", key, invalid.Problems)
		}
	}
}

func TestValidationErrorNamesEveryProblem(t *testing.T) {
	document := sampleDocument("autosd")
	document.Labels = map[string]string{"a/b": "\n"}
	document.PublishedBy = strings.Repeat("v", 300)
	_, err := Pack(document, Seen{})
	var invalid *entry.ValidationError
	if !errors.As(err, &invalid) || !errors.Is(err, entry.ErrInvalid) || errors.Is(err, entry.ErrNotFound) {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, problem := range invalid.Problems {
		got[problem.Pointer] = problem.Reason != ""
		if !strings.Contains(err.Error(), problem.Pointer+": "+problem.Reason) {
			t.Errorf("the message lacks %+v: %v", problem, err)
		}
	}
	if diff := cmp.Diff(map[string]bool{"/labels/a~1b": true, "/publishedBy": true}, got); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(err.Error(), "entry document: /") {
		t.Error(err)
	}
	whole := &entry.ValidationError{Document: "removal", Problems: []schema.Problem{{Reason: "not JSON"}, {Pointer: "/a", Reason: "b"}}}
	if got := whole.Error(); got != "removal document: /: not JSON; /a: b" {
		t.Error(got)
	}
}

func TestValidationListsAFewProblems(t *testing.T) {
	document := sampleDocument("autosd")
	document.Tags = nil
	for i := range 60 {
		document.Tags = append(document.Tags, fmt.Sprintf("bad %d", i))
	}
	if got := pointers(t, document); len(got) != schema.MaxProblems {
		t.Errorf("%d problems, want %d", len(got), schema.MaxProblems)
	}
}
