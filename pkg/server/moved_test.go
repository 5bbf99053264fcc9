package server_test

import (
	"strings"
	"testing"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

// moveTag pushes another image under a reference.
func (w *world) moveTag(reference string) {
	w.t.Helper()
	ref, err := registry.ParseReference(reference)
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := w.client.Open(ref)
	if err == nil {
		_, err = samples.Bootc(w.t.Context(), to, ref.Tag, samples.Build{Distro: "another", Architectures: []string{"arm64"}, Version: "2"})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// A tag that was moved is a condition of an item that stays Available and is handed
// out by its digest. Verifying it fails only if the tag is to name it; clients
// without a token are not told what it names instead.
func TestMovedTag(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(w.allowPublish)
	published := w.list("").Items[0]
	w.moveTag(published.RegistryURL)
	const path = "/v1/catalog/images/a/verify?wait=true"
	var moved answer
	w.until("verified", func() bool { moved = w.ask("POST", path, ""); return moved.status == 200 })
	if text := string(moved.body); !strings.Contains(text, `"what":"reference","result":"moved","reason":"`+published.RegistryURL+` names another image now"`) || strings.Contains(text, `"failure":`) {
		t.Errorf("verified without a token: %s", text)
	}
	w.until("verified strictly", func() bool {
		moved = w.ask("POST", path+"&strict-reference=true", "", bearer)
		return moved.status == 200
	})
	if text := string(moved.body); !strings.Contains(text, `"code":"conflict"`) || !strings.Contains(text, published.RegistryURL+" is sha256:") {
		t.Errorf("verified strictly, with a token: %s", text)
	}
	for _, query := range []string{"?strict-reference=true", "?wait=true&strict-reference=yes"} {
		if a := w.ask("POST", "/v1/catalog/images/a/verify"+query, ""); a.status != 400 {
			t.Errorf("%s: %d, want 400", query, a.status)
		}
	}
	w.until("the condition", func() bool { return len(w.list("").Items) == 1 && len(w.list("").Items[0].Conditions) > 1 })
	item := w.list("").Items[0]
	found := false
	for _, c := range item.Conditions {
		found = found || c.Type == health.ConditionMoved && c.Status == "True" && c.Reason == health.ReasonTagMoved && c.Message != ""
	}
	if !found || item.Phase != entry.PhaseAvailable || item.StatusReason != "" || item.DownloadURL != entry.Pinned(published.RegistryURL, published.Digest) {
		t.Errorf("shown as %+v, want Available, moved, and to be downloaded by its digest", item)
	}
}
