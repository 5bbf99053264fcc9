package revision

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
)

// fromTheFuture is a document that a later version wrote: unknown fields at
// every depth, empty ones among them.
func fromTheFuture(t *testing.T) []byte {
	t.Helper()
	return altered(t, mustPack(t, fullDocument()).Blobs[1].Content, func(o map[string]any) {
		o["future"] = map[string]any{"a": []any{1.0, map[string]any{"b": false}}}
		o["futureFalse"], o["futureZero"], o["futureText"], o["futureNull"], o["futureList"] = false, 0.0, "", nil, []any{}
		at(o, "image").(map[string]any)["signedBy"] = "x"
		at(o, "metadata").(map[string]any)["secureBoot"] = true
		at(o, "metadata", "targets", 1).(map[string]any)["lab"] = "b"
		at(o, "registry").(map[string]any)["pulls"] = 7.0
		at(o, "registry", "platforms", 0).(map[string]any)["osVersion"] = "10"
		at(o, "artifacts", 0).(map[string]any)["mirror"] = []any{"m"}
		at(o, "source").(map[string]any)["commit"] = "abc"
	})
}

// rewritten packs document over old and returns what a reader finds: the
// document, and its text as plain JSON.
func rewritten(t *testing.T, document *Document, old []byte) (*Document, map[string]any) {
	t.Helper()
	packed, err := PackRewrite(document, old, Seen{})
	if err != nil {
		t.Fatal(err)
	}
	revision := mustUnpack(t, packed)
	var text map[string]any
	if err := json.Unmarshal(mustText(t, packed.Manifest), &text); err != nil {
		t.Fatal(err)
	}
	return revision.Document, text
}

func TestRewriteKeepsUnknownFields(t *testing.T) {
	old := fromTheFuture(t)
	document := fullDocument()
	document.Version, document.PublishedAt = "3.0.0", entry.NewTime(sampleTime.Add(time.Hour))
	document.Metadata.Targets[0].Verified = false
	got, text := rewritten(t, document, old)
	if diff := cmp.Diff(document, got); diff != "" {
		t.Errorf("known fields:\n%s", diff)
	}
	var want map[string]any
	if err := json.Unmarshal(old, &want); err != nil {
		t.Fatal(err)
	}
	want["version"], want["publishedAt"] = "3.0.0", "2026-03-01T11:00:00.000Z"
	delete(at(want, "metadata", "targets", 0).(map[string]any), "verified")
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("whole document:\n%s", diff)
	}
}

// A known field that the new document does not have is gone; what a later
// version put beside it or below it stays.
func TestRewriteDropsRemovedFields(t *testing.T) {
	old := fromTheFuture(t)
	document := sampleDocument("autosd.full")
	document.Version, document.Tags, document.Labels = "", nil, map[string]string{"verification-interval": "1h"}
	document.Metadata, document.Registry, document.Artifacts = entry.Metadata{}, Observed{}, nil
	document.PublishedBy = ""
	got, text := rewritten(t, document, old)
	if diff := cmp.Diff(document, got); diff != "" {
		t.Errorf("known fields:\n%s", diff)
	}
	var want map[string]any
	if err := json.Unmarshal(mustPack(t, document).Blobs[1].Content, &want); err != nil {
		t.Fatal(err)
	}
	want["future"] = map[string]any{"a": []any{1.0, map[string]any{"b": false}}}
	want["futureFalse"], want["futureZero"], want["futureText"], want["futureNull"], want["futureList"] = false, 0.0, "", nil, []any{}
	at(want, "image").(map[string]any)["signedBy"] = "x"
	at(want, "source").(map[string]any)["commit"] = "abc"
	want["metadata"] = map[string]any{"secureBoot": true}
	want["registry"] = map[string]any{"pulls": 7.0}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("whole document:\n%s", diff)
	}
}

// An object of which the old document had only unknown fields has them still
// when the new one sets a known field in it.
func TestRewriteMergesIntoEmptyObjects(t *testing.T) {
	plain := sampleDocument("autosd")
	plain.Metadata = entry.Metadata{}
	old := altered(t, mustPack(t, plain).Blobs[1].Content, func(o map[string]any) {
		o["metadata"] = map[string]any{"secureBoot": true, "bootc": false}
	})
	document := sampleDocument("autosd")
	document.Metadata = entry.Metadata{Distro: "autosd", Bootc: true}
	got, text := rewritten(t, document, old)
	if diff := cmp.Diff(document, got); diff != "" {
		t.Errorf("known fields:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"secureBoot": true, "bootc": true, "distro": "autosd"}, text["metadata"]); diff != "" {
		t.Error(diff)
	}
}

// An element that has a name is the same one wherever it stands; of others in a list
// of another length nobody can tell which is which.
func TestRewriteOfOtherLists(t *testing.T) {
	old := fromTheFuture(t)
	document := fullDocument()
	document.Metadata.Targets = []entry.Target{{Name: "new"}, {Name: "qemu", Verified: true}}
	document.Registry.Platforms = document.Registry.Platforms[:1]
	document.Mismatches = append([]Mismatch{{Field: "os", Image: "linux", Publisher: "qnx"}}, document.Mismatches...)
	old = altered(t, old, func(o map[string]any) { at(o, "mismatches", 0).(map[string]any)["by"] = "x" })
	_, text := rewritten(t, document, old)
	targets := []any{map[string]any{"name": "new"}, map[string]any{"name": "qemu", "verified": true, "lab": "b"}}
	if diff := cmp.Diff(any(targets), at(text, "metadata", "targets")); diff != "" {
		t.Errorf("targets:\n%s", diff)
	}
	if by := at(text, "mismatches", 1).(map[string]any)["by"]; by != "x" {
		t.Errorf("an unknown member of a mismatch is %v, want x", by)
	}
	if version := at(text, "registry", "platforms", 0).(map[string]any)["osVersion"]; version != nil {
		t.Errorf("a platform of another list has osVersion %v, want none", version)
	}
}

// A target that is spelled otherwise now is the same one.
func TestRewriteOfSpelling(t *testing.T) {
	old := altered(t, fromTheFuture(t), func(o map[string]any) { at(o, "metadata", "targets", 1).(map[string]any)["name"] = "QEMU" })
	document := fullDocument()
	_, text := rewritten(t, document, old)
	if lab := at(text, "metadata", "targets", 1).(map[string]any)["lab"]; lab != "b" {
		t.Errorf("an unknown member of a target is %v, want b", lab)
	}
}

// changes are changes of fullDocument, and what each does to its JSON.
func changes() []change {
	yes, text := true, "again"
	return []change{
		{"nothing", entry.Change{}, func(map[string]any) {}},
		{"texts", entry.Change{Set: map[string]string{"version": "3", "kernelVersion": "", "description": ""}}, func(o map[string]any) {
			o["version"] = "3"
			delete(o, "description")
			delete(at(o, "metadata").(map[string]any), "kernelVersion")
		}},
		{"tags", entry.Change{AddTags: []string{"qa", "release"}, RemoveTags: []string{"team/qa", "none"}}, func(o map[string]any) {
			o["tags"] = []any{"release", "qa"}
		}},
		{"no tags", entry.Change{ClearTags: true}, func(o map[string]any) { delete(o, "tags") }},
		{"labels", entry.Change{SetLabels: map[string]string{"k": "v"}, RemoveLabels: []string{"team", "none"}}, func(o map[string]any) {
			at(o, "labels").(map[string]any)["k"] = "v"
			delete(at(o, "labels").(map[string]any), "team")
		}},
		{"no labels", entry.Change{ClearLabels: true}, func(o map[string]any) { delete(o, "labels") }},
		{"targets", entry.Change{Targets: []entry.TargetChange{{Name: "rpi4", Remove: true}, {Name: "j784s4", Verified: &yes}, {Name: "qemu", Notes: &text}, {Name: "none", Remove: true}}}, func(o map[string]any) {
			qemu := at(o, "metadata", "targets", 1).(map[string]any)
			qemu["notes"] = text
			at(o, "metadata").(map[string]any)["targets"] = []any{qemu, map[string]any{"name": "j784s4", "verified": true}}
		}},
		{"targets in another spelling", entry.Change{Targets: []entry.TargetChange{{Name: " RPI4", Remove: true}, {Name: "QEMU", Notes: &text}, {Name: "J784S4", Verified: &yes}}}, func(o map[string]any) {
			qemu := at(o, "metadata", "targets", 1).(map[string]any)
			qemu["notes"] = text
			at(o, "metadata").(map[string]any)["targets"] = []any{qemu, map[string]any{"name": "j784s4", "verified": true}}
		}},
		{"no targets", entry.Change{ClearTargets: true}, func(o map[string]any) { delete(at(o, "metadata").(map[string]any), "targets") }},
		{"the image's word", entry.Change{Set: map[string]string{"distro": "autosd"}}, func(o map[string]any) {
			at(o, "metadata").(map[string]any)["distro"] = "autosd"
			delete(o, "mismatches")
		}},
		{"against the image's word", entry.Change{Set: map[string]string{"distro": "other"}}, func(o map[string]any) {
			at(o, "metadata").(map[string]any)["distro"] = "other"
			at(o, "mismatches", 0).(map[string]any)["publisher"] = "other"
		}},
		{"an architecture", entry.Change{Set: map[string]string{"architecture": "x86_64"}}, func(o map[string]any) {
			at(o, "metadata").(map[string]any)["architecture"] = "amd64"
		}},
		{"no bootc", entry.Change{Bootc: new(bool)}, func(o map[string]any) { delete(at(o, "metadata").(map[string]any), "bootc") }},
	}
}

type change struct {
	name   string
	change entry.Change
	edit   func(o map[string]any)
}

// An edit keeps whatever it does not name, byte by byte, and unknown members of what
// it does name.
func TestRewriteAfterAChangeKeepsTheRest(t *testing.T) {
	old := fromTheFuture(t)
	for _, tt := range changes() {
		t.Run(tt.name, func(t *testing.T) {
			var before Document
			if err := json.Unmarshal(old, &before); err != nil {
				t.Fatal(err)
			}
			after, err := before.Changed(&tt.change)
			if err != nil {
				t.Fatal(err)
			}
			packed, err := PackRewrite(after, old, Seen{})
			if err != nil {
				t.Fatal(err)
			}
			want := altered(t, old, tt.edit)
			if got := mustText(t, packed.Manifest); string(got) != string(want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			var again Document
			if err := json.Unmarshal(old, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(again, before); diff != "" {
				t.Errorf("the old document is another one now:\n%s", diff)
			}
		})
	}
}

func TestRewriteRefuses(t *testing.T) {
	document := sampleDocument("autosd")
	for _, tt := range []struct{ name, old string }{
		{"not JSON", "<html>"},
		{"no object", "[]"},
		{"duplicate keys", `{"a":1,"a":2}`},
		{"a known field of another type", `{"name":1}`},
	} {
		if packed, err := PackRewrite(document, []byte(tt.old), Seen{}); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%s: %v, %v", tt.name, packed, err)
		}
	}
	document.Version = "\n"
	if packed, err := PackRewrite(document, mustPack(t, sampleDocument("autosd")).Blobs[1].Content, Seen{}); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("an invalid document: %v, %v", packed, err)
	}
}

func TestSameContent(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Document)
		want bool
	}{
		{"nothing changed", func(*Document) {}, true},
		{"published later", func(d *Document) { d.PublishedAt = entry.NewTime(d.PublishedAt.Add(time.Hour)) }, true},
		{"published by another", func(d *Document) { d.PublishedBy = "you" }, true},
		{"published by another build", func(d *Document) { d.Build = entry.Build{System: "jenkins", URL: "https://ci.example.com/78"} }, true},
		{"published by no build", func(d *Document) { d.Build = entry.Build{} }, true},
		{"published in another catalog", func(d *Document) { d.Catalog = "registry.example.com/other/catalog" }, true},
		{"nil and empty", func(d *Document) { d.Artifacts = []Artifact{} }, true},
		{"another version", func(d *Document) { d.Version = "9" }, false},
		{"another digest", func(d *Document) { d.Image.Digest = "sha256:0" }, false},
		{"one label more", func(d *Document) { d.Labels["a"] = "" }, false},
		{"tags in another order", func(d *Document) { d.Tags = []string{"qa", "nightly"} }, false},
		{"a target's notes", func(d *Document) { d.Metadata.Targets[1].Notes = "n" }, false},
		{"text that cannot be written", func(d *Document) { d.Version = "\xff" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := sampleDocument("autosd"), sampleDocument("autosd")
			tt.edit(b)
			if got := SameContent(a, b); got != tt.want || SameContent(b, a) != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
			if a.PublishedBy != "ci@build-7" || a.PublishedAt != sampleTime {
				t.Error("the document was changed")
			}
		})
	}
}
