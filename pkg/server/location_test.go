package server_test

import (
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/server"
)

// Items of a copy say where their images are there, as soon as the catalog does: nothing
// else of them has changed then.
func TestItemsSayWhereTheirImagesAre(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b")
	copied := w.open("ex/catalog")
	copyTo := func(options catalog.CopyOptions) {
		t.Helper()
		if _, err := w.catalog.Copy(t.Context(), copied, options); err != nil {
			t.Fatal(err)
		}
	}
	copyTo(catalog.CopyOptions{NoImages: true})
	w.startReady(func(o *server.Options) { o.Catalogs = []*catalog.Catalog{w.open("ex/catalog")} })
	if got := w.list(""); got.Total != 2 || got.Items[0].Location != "" {
		t.Errorf("without images: %d entries, the first one at %q", got.Total, got.Items[0].Location)
	}
	copyTo(catalog.CopyOptions{})
	isAt := func(item *entry.Item) bool {
		return strings.HasPrefix(item.Location, w.host+"/ex/os/"+item.Name+"@"+item.Digest.String())
	}
	w.until("the location", func() bool {
		page := w.list("")
		return len(page.Items) == 2 && isAt(&page.Items[0]) && isAt(&page.Items[1])
	})
	item := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/a", ""))
	if !isAt(&item) {
		t.Errorf("entry a is at %q", item.Location)
	}
}
