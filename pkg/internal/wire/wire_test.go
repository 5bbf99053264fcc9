package wire

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// Nothing that a request or an answer says is lost on the way.
func TestNothingIsLost(t *testing.T) {
	yes := true
	details := api.Details{
		Digest: "d", Version: "1", Description: "text", Tags: []string{"t"}, Labels: map[string]string{"k": "v"},
		Architecture: "arm64", OS: "linux", Variant: "v8", Distro: "autosd", DistroVersion: "9", KernelVersion: "6",
		Targets: []entry.Target{{Name: "rpi4"}}, Bootc: &yes, TargetNotes: map[string]string{"rpi4": "text"}, BuildMode: "image", ExportFormat: "qcow2", Disk: "disk", ImageBuild: catalog.ImageBuild{Name: "b", Digest: "d", DiskDigest: "e", StartedAt: entry.NewTime(time.Unix(1, 0)), CompletedAt: entry.NewTime(time.Unix(2, 0))},
		Source: entry.Source{Type: entry.SourceManual}, Build: entry.Build{System: "ci"}, Override: true, Move: true, Inherit: true, NoAttach: true, NoKeep: true, DryRun: true,
	}
	isFull(t, details)
	options := Options(&details)
	if diff := cmp.Diff(details, Details(options)); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	for _, bootc := range []*bool{nil, new(bool)} {
		details.Bootc = bootc
		options := Options(&details)
		if diff := cmp.Diff(bootc, Details(options).Bootc); diff != "" {
			t.Errorf("bootc (-want +got):\n%s", diff)
		}
	}
	publication := api.Publication{
		Item: entry.Item{Name: "a"}, Outcome: catalog.Published, Tag: "tag", Attachment: catalog.Step{Outcome: catalog.Attached},
		Keep: &catalog.Step{Outcome: catalog.Failed}, Snapshot: true, MovedFrom: []string{"b"}, Loses: []string{"version"}, Warnings: []catalog.Warning{{Name: "a"}},
	}
	isFull(t, publication)
	if diff := cmp.Diff(publication, Publication(Result(&publication))); diff != "" {
		t.Errorf("publication (-want +got):\n%s", diff)
	}
}

// isFull checks that the test has a value for every field.
func isFull(t *testing.T, value any) {
	t.Helper()
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s.%s is not set: the test has no value for it", v.Type(), v.Type().Field(i).Name)
		}
	}
}
