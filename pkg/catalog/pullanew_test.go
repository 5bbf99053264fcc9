package catalog_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/internal/testloop"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A device is written to anew from another place; what takes each byte once too, as
// long as it has taken none.
func TestPullAnewFromAnotherPlace(t *testing.T) {
	w := newWorld(t, true, nil)
	pushDisk(t, w.client, w.host+"/os/disk")
	item := w.publish(w.open(catalog.Options{}), w.host+"/os/disk:1", catalog.PublishOptions{Name: "disk"}).Item
	lying, wrong, whole := newReplica(t, flipLast), newReplica(t, flipFirst), newReplica(t, nil)
	for _, r := range []*replica{lying, wrong, whole} {
		pushDisk(t, w.client, r.host+"/copies/os/disk")
	}
	var want bytes.Buffer
	if _, err := catalog.PullItem(t.Context(), w.client, &item, catalog.PullOptions{Out: &want}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	early, _ := w.withMirrors(registry.Options{}, wrong.host, whole.host)
	result, err := catalog.PullItem(t.Context(), early, &item, catalog.PullOptions{Out: &out})
	if err != nil || !bytes.Equal(out.Bytes(), want.Bytes()) || !strings.HasPrefix(result.Files[0].Place, whole.host) {
		t.Errorf("to an output that has taken nothing: %v, %+v, want it of %s", err, result.Files, whole.host)
	}
	device, below := testloop.New(t, 64<<20)
	late, warned := w.withMirrors(registry.Options{}, lying.host, whole.host)
	result, err = catalog.PullItem(t.Context(), late, &item, catalog.PullOptions{Dest: device, Force: true, ReadBack: true})
	if err != nil || !strings.HasPrefix(result.Files[0].Place, whole.host) || !strings.Contains(warned.String(), lying.host) {
		t.Fatalf("to a device: %v, %+v, warned %q; want it of %s", err, result.Files, warned, whole.host)
	}
	if found := read(t, below); !bytes.Equal(found[:want.Len()], want.Bytes()) {
		t.Error("the device holds something else")
	}
}

// Nobody waits for the rest of what cannot be decompressed.
func TestPullWaitsForNothingThatIsWrong(t *testing.T) {
	w := newDiskWorld(t)
	w.publishDisk("disk", diskFile{title: "disk.raw.gz", compression: "gzip", content: noise(1, 1<<20)})
	hangs := func(to http.ResponseWriter, r *http.Request, _ int, content []byte) bool {
		to.Header().Set("Content-Type", "application/octet-stream")
		_, _ = to.Write(bytes.Repeat([]byte{'x'}, 1000))
		to.(*counting).ResponseWriter.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	dest := t.TempDir() + "/disk.raw"
	w.storage.during(hangs, func() {
		var err error
		testwait.Return(t, "the pull of what cannot be decompressed", func() {
			_, err = w.catalog.Pull(t.Context(), "disk", catalog.PullOptions{Dest: dest})
		})
		if !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("got %v, want malformed", err)
		}
	})
	if _, err := os.Stat(dest); err == nil {
		t.Error("there is a file")
	}
}
