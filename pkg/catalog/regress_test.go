package catalog_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// A publication that says less than the entry did names what is lost; with Inherit it
// keeps what is not about the image that was.
func TestPublishingSaysWhatItLoses(t *testing.T) {
	full := catalog.PublishOptions{
		Version: "1", Description: "d", Tags: []string{"a", "b"}, Labels: map[string]string{"team": "os", "x": "1"},
		Metadata: entry.Metadata{KernelVersion: "6", Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "n"}, {Name: "j784s4", Verified: true}, {Name: "qemu"}}},
	}
	less := catalog.PublishOptions{Tags: []string{"b", "c"}, Labels: map[string]string{"x": "2"}, Metadata: entry.Metadata{Targets: []entry.Target{{Name: "qemu", Notes: "q"}}}}
	kept := []entry.Target{{Name: "rpi4", Notes: "n", Verified: true}, {Name: "qemu", Notes: "q"}, {Name: "j784s4", Verified: true}}
	for _, tt := range []struct {
		name    string
		tag     string
		inherit bool
		loses   []string
		targets []entry.Target
	}{
		{"the same image", "1", false, []string{"version", "description", "tag a", "label team", "target rpi4 verified", "target rpi4 note", "target j784s4 verified", "kernelVersion"}, []entry.Target{{Name: "rpi4"}, {Name: "qemu", Notes: "q"}}},
		{"the same image, inherited", "1", true, []string{"version", "kernelVersion"}, kept},
		{"another image, inherited", "2", true, []string{"version", "target rpi4 verified", "target j784s4 verified", "kernelVersion"}, []entry.Target{{Name: "rpi4", Notes: "n"}, {Name: "qemu", Notes: "q"}, {Name: "j784s4"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, true, nil)
			c := w.open(catalog.Options{})
			w.push("os/autosd", "2", "2")
			if first := w.publish(c, w.push("os/autosd", "1", "1"), full); len(first.Loses) > 0 {
				t.Errorf("the first publication loses %q", first.Loses)
			}
			options := less
			options.Inherit = tt.inherit
			result := w.publish(c, w.host+"/os/autosd:"+tt.tag, options)
			if diff := cmp.Diff(tt.loses, result.Loses); diff != "" {
				t.Errorf("loses (-want +got):\n%s", diff)
			}
			if len(result.Warnings) == 0 || result.Warnings[0].Kind != catalog.WarnEntry {
				t.Errorf("warnings %v, want one of the entry", result.Warnings)
			}
			if diff := cmp.Diff(tt.targets, result.Item.Targets); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if tt.inherit && (result.Item.Description != "d" || !slices.Equal(result.Item.Tags, []string{"a", "b", "c"}) || result.Item.Labels["team"] != "os" || result.Item.Labels["x"] != "2") {
				t.Errorf("%+v is not what was inherited", result.Item)
			}
			again := w.publish(c, w.host+"/os/autosd:"+tt.tag, options)
			if again.Outcome != catalog.Unchanged || len(again.Loses) > 0 {
				t.Errorf("the same again: %s, loses %q", again.Outcome, again.Loses)
			}
		})
	}
}

func TestPublishingALowerVersionWarns(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	image := w.push("os/autosd", "1", "1")
	for _, tt := range []struct{ version, warning string }{
		{"1.9", ""},
		{"1.10", ""},
		{"1.2", "entry \"autosd\": version 1.2 is lower than 1.10, which it follows\n"},
		{"", "entry \"autosd\" loses: version\n"},
		{"1.1", ""},
	} {
		result := w.publish(c, image, catalog.PublishOptions{Version: tt.version})
		if got := warningText(result.Warnings); got != tt.warning {
			t.Errorf("version %q: warnings %q, want %q", tt.version, got, tt.warning)
		}
	}
}
