package catalog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// An entry that is published while somebody waits for it, or for a version of it, is
// got.
func TestAwaitEntry(t *testing.T) {
	w := newWorld(t, true, nil)
	c := w.open(catalog.Options{})
	w.publish(c, w.push("os/autosd", "1", "1"), catalog.PublishOptions{Version: "1"})
	for _, wanted := range []struct{ name, version string }{{"later", ""}, {"autosd", "2"}} {
		looks := 0
		var item entry.Item
		var err error
		testwait.Return(t, "the wait", func() {
			err = catalog.AwaitEntry(t.Context(), time.Minute/2, func(time.Duration) {
				if looks++; looks == 2 {
					w.publish(w.open(catalog.Options{}), w.push("os/"+wanted.name, "2", "2"), catalog.PublishOptions{Name: wanted.name, Version: "2"})
				}
			}, func(ctx context.Context) error {
				item, err = c.Get(ctx, wanted.name, catalog.GetOptions{Version: wanted.version})
				return err
			})
		})
		if err != nil || item.Name != wanted.name || item.Version != "2" || looks != 2 {
			t.Errorf("%v: got %s %s after %d looks, %v", wanted, item.Name, item.Version, looks, err)
		}
	}
}

// Only what is not there is waited for, and no longer than asked.
func TestAwaitEntryWaitsForNothingElse(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		within time.Duration
		err    error
		want   error
		text   string
		waits  bool
	}{
		{"absent", t.Context(), 50 * time.Millisecond, entry.ErrNotFound, entry.ErrNotFound, "waited 50ms for it", true},
		{"absent, and no wait", t.Context(), 0, entry.ErrNotFound, entry.ErrNotFound, "", false},
		{"refused", t.Context(), time.Hour, entry.ErrUntrusted, entry.ErrUntrusted, "", false},
		{"away", t.Context(), time.Hour, errors.Join(entry.ErrNotFound, entry.ErrUnreachable), entry.ErrUnreachable, "", false},
		{"there", t.Context(), time.Hour, nil, nil, "", false},
		{"a caller who leaves", ended, time.Hour, entry.ErrNotFound, context.Canceled, "wait for ", true},
	} {
		waited := false
		var err error
		testwait.Return(t, "the wait", func() {
			err = catalog.AwaitEntry(tt.ctx, tt.within, func(time.Duration) {
				if waited = true; tt.ctx == ended {
					cancel()
				}
			}, func(context.Context) error { return tt.err })
		})
		if !errors.Is(err, tt.want) || waited != tt.waits || err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: waited %t, %v; want %t, %v with %q", tt.name, waited, err, tt.waits, tt.want, tt.text)
		}
	}
	cancel()
}
