package server

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Whatever a query is: it is refused as invalid, or it is one that can be
// answered, and whose pages follow each other.
func FuzzListQuery(f *testing.F) {
	for _, raw := range []string{
		"", "limit=20", "limit=1001", "limit=-1", "phase=all&latest=false&sort=size", "tags=a,b&tags=c&label=a=b&label=c=", "target=rpi4&distro=autosd&architecture=x86_64",
		"as-of=2026-03-01T12:00:00Z", "as-of=2026-03-01T12:00:00.5%2b01:00", "continue=eyJxIjoieCIsInQiOjAsIm4iOiJhIn0", "a=1;b=2", "%zz", "tags=%ff", "label=%00=", "sort=name&sort=name",
		"name=auto*&search=Nightly%20build&format=qcow2&target=qemu&target=rpi4", "since=3d&as-of=2026-03-01", "as-of=1w2d", "since=2026-02-28&versions=true&sort=version&facets=true", "name=A", "search=%00", "since=soon", "versions=1",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseListQuery(raw)
		if err != nil {
			if !errors.Is(err, entry.ErrInvalid) {
				t.Fatalf("%v is no ErrInvalid", err)
			}
			return
		}
		if err := q.query.Check(); err != nil || q.limit < 1 || q.limit > maxLimit {
			t.Fatalf("%+v is taken: %v", q, err)
		}
		last := entry.Outline{Name: "some.name", Catalog: "registry.example.com/team/catalog", SizeBytes: 7, CreatedAt: entry.NewTime(time.UnixMilli(1_772_366_400_123))}
		if q.query.Sort == entry.SortVersion {
			last.Version = "1.10"
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		values.Set("continue", q.next(&last))
		if len(values.Encode()) > maxQuery {
			return
		}
		next, err := parseListQuery(values.Encode())
		if err != nil {
			t.Fatalf("the next page of %q is refused: %v", raw, err)
		}
		if diff := cmp.Diff(&last, next.after); diff != "" {
			t.Error(diff)
		}
		if len(q.ages) > 0 { // which moved on
			q.query.Since, next.query.Since = time.Time{}, time.Time{}
		}
		if diff := cmp.Diff(q.query, next.query); diff != "" {
			t.Error(diff)
		}
	})
}
