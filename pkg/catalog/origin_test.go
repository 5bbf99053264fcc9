package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// copyTo copies a revision with its signatures to another catalog.
func (w *world) copyTo(tag, from, to string) {
	w.t.Helper()
	w.copyAs(tag, from, to, tag)
}

// copyAs is copyTo, to another tag.
func (w *world) copyAs(tag, from, to, as string) {
	w.t.Helper()
	source, target := w.repository(from), w.repository(to)
	d, manifest, err := source.Manifest(w.t.Context(), tag)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := target.PushManifest(w.t.Context(), d, manifest, as); err != nil {
		w.t.Fatal(err)
	}
	parsed, _ := revision.ParseTag(tag)
	for _, found := range signature.Find(w.t.Context(), source, d.Digest).Signatures {
		if err := signature.Write(w.t.Context(), target, d, found, parsed.Time().Time); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A signed entry that was copied from a catalog of the same team is told by where
// it says it was published, where the policy demands that.
func TestOrigins(t *testing.T) {
	w, sign := newWorld(t, true, nil), team(t)
	staging, err := catalog.Open(w.host+"/team/staging", catalog.Options{Registry: w.client})
	if err != nil {
		t.Fatal(err)
	}
	copied := w.publish(staging, w.push("team/image", "1", "1"), catalog.PublishOptions{Name: "copied", Sign: sign})
	w.copyTo(copied.Tag, "team/staging", "team/catalog")
	w.publish(w.open(catalog.Options{}), w.push("team/own", "1", "2"), catalog.PublishOptions{Name: "own", Sign: sign})
	for _, tt := range []struct {
		origins []string
		want    string // what is listed
		refused int
	}{
		{nil, "copied own", 0},
		{[]string{w.host + "/team/catalog"}, "own", 1},
		{[]string{w.host + "/team/*"}, "copied own", 0},
		{[]string{"registry.example.com/**", w.host + "/*/staging"}, "copied", 1},
	} {
		t.Run(strings.Join(tt.origins, " "), func(t *testing.T) {
			policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: []*trust.PublicKey{sign.Signer.PublicKey()}, Origins: tt.origins})
			if err != nil {
				t.Fatal(err)
			}
			page, err := w.open(catalog.Options{Policy: policy}).List(t.Context(), catalog.ListOptions{Query: entry.Query{Sort: entry.SortName}})
			var names []string
			for _, item := range page.Items {
				names = append(names, item.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("listed %q, want %q", got, tt.want)
			}
			if err != nil || len(page.Refused) != tt.refused || tt.refused > 0 != errors.Is(refusals(page.Refused), entry.ErrUntrusted) {
				t.Errorf("%d refused (%v), %v, want %d", len(page.Refused), refusals(page.Refused), err, tt.refused)
			}
		})
	}
}
