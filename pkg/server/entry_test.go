package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

func wholeItem() entry.Item {
	at := entry.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	return entry.Item{
		Name: "autosd", Version: "10.1", Description: "for <two> boards \u2028 & \"more\"", RegistryURL: "registry.example.com/os/autosd:10.1", Digest: "sha256:1",
		Tags: []string{"nightly", "st\"able"}, Phase: entry.PhaseAvailable, Architecture: "", Distro: "autosd", DistroVersion: "10", KernelVersion: "6.12",
		Targets: []entry.Target{{Name: "rpi4", Verified: true, Notes: "boots"}, {Name: "qemu"}}, Bootc: true, BuildMode: "bootc", ExportFormat: "qcow2",
		SizeBytes: 7, LayerCount: 2, LastVerified: at, PublishedAt: at, PublishedBy: "ci", CreatedAt: at, ImageCreatedAt: &at,
		SourceType: "Scheduled", SourceImageBuild: "build-1", ScheduleName: "weekly", Labels: map[string]string{"team": "os", "a&b": "<c>"},
		ArtifactRefs: []entry.ArtifactRef{{Type: "t", URL: "u", Digest: "d"}}, DownloadURL: "u", IsMultiArch: true,
		PlatformVariants: []entry.Platform{{Architecture: "arm64", Digest: "x"}, {Architecture: "amd64", Digest: "y"}},
		Referrers:        []entry.ReferrerRef{{}}, AccessCount: 3, Revision: "sha256:r", Catalog: "registry.example.com/team/catalog",
		Conditions: []entry.Condition{{Type: revision.ConditionMetadataMismatch, Status: "True", Reason: "ImageStands", LastTransitionTime: at}},
	}
}

// An image says all that the item says, to the byte, whatever states it has
// been in, and answers queries as the item does.
func TestImageSaysWhatTheItemSays(t *testing.T) {
	item := wholeItem()
	available := entry.Status{Name: item.Name, Revision: item.Revision, Phase: entry.PhaseAvailable, LastVerified: item.PublishedAt, Since: item.PublishedAt, Accesses: 3}
	stale := item.PublishedAt
	failed := entry.Status{Name: item.Name, Revision: item.Revision, Phase: entry.PhaseFailed, Reason: health.ReasonUnauthorized, Message: "no", Since: item.PublishedAt, StaleSince: &stale, Failures: 2}
	first, err := newServedEntry(item, available, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := item
	health.Apply(&shown, &available)
	text, err := marshal(&shown)
	if err != nil || first.text != string(text) {
		t.Errorf("%s\nwant %s, error %v", first.text, text, err)
	}
	away, err := first.in(failed)
	if err != nil || away.outline.Phase != entry.PhaseFailed || away.text == first.text {
		t.Fatalf("%+v, error %v", away, err)
	}
	again, err := away.in(available)
	if err != nil || again.text != first.text {
		t.Errorf("after it failed: %s, error %v\nwant %s", again.text, err, first.text)
	}
	read, err := decodeServedEntry([]byte(first.text))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []*servedEntry{first, again, read} {
		if diff := cmp.Diff(shown.Outline(), i.outline); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(subject{"sha256:r", "sha256:1", item.RegistryURL, "Scheduled", "build-1"}, i.subject, cmp.AllowUnexported(subject{})); diff != "" {
			t.Error(diff)
		}
	}
}
