package entry

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sampleTime = NewTime(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))

// shelf is a small catalog: minute n of its day is when item n was published.
func shelf() []Item {
	at := func(minute int) Time { return NewTime(sampleTime.Add(time.Duration(minute) * time.Minute)) }
	variants := func(architectures ...string) (all []Platform) {
		for _, a := range architectures {
			all = append(all, Platform{Architecture: a})
		}
		return all
	}
	return []Item{
		{Name: "old", Phase: "Available", CreatedAt: at(1), SizeBytes: 500, Distro: "autosd", Architecture: "arm64", Targets: []Target{{Name: "RPI4"}}, Tags: []string{"qa"}},
		{Name: "new", Phase: "Available", CreatedAt: at(4), SizeBytes: 100, Distro: "autosd", Architecture: "arm64", Targets: []Target{{Name: "rpi4"}}, Tags: []string{"qa", "nightly"}, Labels: map[string]string{"team": "a", "empty": ""}},
		{Name: "both", Verdict: "unsigned", Phase: "Failed", CreatedAt: at(2), SizeBytes: 900, Distro: "autosd", PlatformVariants: variants("amd64", "arm64"), Targets: []Target{{Name: "qemu"}, {Name: "rpi4"}}, Labels: map[string]string{"team": "b"}},
		{Name: "cs", Verdict: "verified", Phase: "Available", CreatedAt: at(3), SizeBytes: 100, Distro: "cs9", Architecture: "amd64", Tags: []string{"nightly"}},
		{Name: "sched.1", Phase: "Available", CreatedAt: at(5), Distro: "autosd", Architecture: "arm64", Targets: []Target{{Name: "rpi4"}}, ScheduleName: "weekly"},
		{Name: "sched.2", Phase: "Available", CreatedAt: at(6), Distro: "cs9", Architecture: "amd64", ScheduleName: "weekly"},
		{Name: "sched.1", Catalog: "other", Phase: "Available", CreatedAt: at(5), Distro: "autosd", Architecture: "arm64", ScheduleName: "weekly"},
	}
}

func names(items []Item) string {
	var all []string
	for _, item := range items {
		all = append(all, strings.Trim(item.Catalog+"/"+item.Name, "/"))
	}
	return strings.Join(all, " ")
}

func TestQuery(t *testing.T) {
	for _, tt := range []struct {
		name  string
		query Query
		want  string
		total int
	}{
		{"everything, newest first", Query{}, "sched.2 sched.1 other/sched.1 new cs both old", 7},
		{"by name", Query{Sort: SortName}, "both cs new old sched.1 other/sched.1 sched.2", 7},
		{"by size, largest first", Query{Sort: SortSize}, "both old cs new sched.1 other/sched.1 sched.2", 7},
		{"signed", Query{Signed: []Verdict{"verified"}}, "cs", 1},
		{"of any of several verdicts", Query{Signed: []Verdict{"unsigned", "unknown", "verified"}}, "cs both", 2},
		{"of a verdict that nothing has", Query{Signed: []Verdict{"invalid"}}, "", 0},
		{"the first two", Query{Limit: 2}, "sched.2 sched.1", 7},
		{"a limit beyond the end", Query{Limit: 100, Distro: "cs9"}, "sched.2 cs", 2},
		{"architecture", Query{Architecture: "amd64"}, "sched.2 cs both", 3},
		{"architecture by another name", Query{Architecture: "AArch64"}, "sched.1 other/sched.1 new both old", 5},
		{"x86_64", Query{Architecture: "x86_64"}, "sched.2 cs both", 3},
		{"architecture nobody has", Query{Architecture: "riscv64"}, "", 0},
		{"distro", Query{Distro: "cs9"}, "sched.2 cs", 2},
		{"distro in full only", Query{Distro: "cs"}, "", 0},
		{"any of the targets", Query{Target: "rpi4"}, "sched.1 new both old", 4},
		{"a target in another spelling", Query{Target: " RPi4"}, "sched.1 new both old", 4},
		{"phase in any case", Query{Phase: "failed"}, "both", 1},
		{"a tag", Query{Tags: []string{"nightly"}}, "new cs", 2},
		{"all of the tags", Query{Tags: []string{"nightly", "qa"}}, "new", 1},
		{"a label", Query{Labels: map[string]string{"team": "a"}}, "new", 1},
		{"an empty label is not an absent one", Query{Labels: map[string]string{"empty": ""}}, "new", 1},
		{"all of the labels", Query{Labels: map[string]string{"team": "b", "empty": ""}}, "", 0},
		{"filters combine", Query{Architecture: "arm64", Target: "rpi4", Phase: "Available", Tags: []string{"qa"}}, "new old", 2},
		{"latest", Query{Latest: true}, "sched.2 other/sched.1 new cs both", 5},
		{"latest of what matches", Query{Latest: true, Distro: "autosd"}, "sched.1 other/sched.1 new both", 4},
		{"latest, limited", Query{Latest: true, Limit: 1, Sort: SortName}, "both", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			items := shelf()
			page := tt.query.Select(items)
			if diff := cmp.Diff(shelf(), items); diff != "" {
				t.Errorf("the query changed its input:\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, names(page.Items)); diff != "" || page.Total != tt.total {
				t.Errorf("total %d, want %d\n%s", page.Total, tt.total, diff)
			}
			slices.Reverse(items)
			if diff := cmp.Diff(page, tt.query.Select(items)); diff != "" {
				t.Errorf("from a list in another order:\n%s", diff)
			}
			if page.Items == nil {
				t.Error("the items are nil, and would be null in JSON")
			}
		})
	}
}

func TestQueryResultsAreWhole(t *testing.T) {
	page := Query{Tags: []string{"nightly"}, Sort: SortName, Limit: 1}.Select(shelf())
	if diff := cmp.Diff(Page{Items: []Item{shelf()[3]}, Total: 2}, page); diff != "" {
		t.Error(diff)
	}
}

// Which of two equally new items is the latest must not depend on the order in
// which a registry listed them.
func TestLatestIsTheSameForEveryReader(t *testing.T) {
	items := []Item{{Name: "b", CreatedAt: sampleTime}, {Name: "a", CreatedAt: sampleTime}, {Name: "c", CreatedAt: sampleTime}}
	for range items {
		items = append(items[1:], items[0])
		if got := names(Query{Latest: true}.Select(items).Items); got != "a" {
			t.Errorf("latest of %s is %s", names(items), got)
		}
	}
}

func TestQueryCheck(t *testing.T) {
	for _, q := range []Query{{}, {Sort: SortSize}, {Sort: SortName}, {Sort: SortCreated, Limit: 1000}} {
		if err := q.Check(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, q := range []Query{{Sort: "age"}, {Sort: "Name"}, {Limit: -1}} {
		if err := q.Check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", q, err)
		}
	}
}

func TestArchitecture(t *testing.T) {
	for name, want := range map[string]string{
		"x86_64": "amd64", "x86-64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64", "riscv64": "riscv64", "": "",
	} {
		if got := Architecture(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
