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

type queryTest struct {
	name  string
	query Query
	want  string
	total int
}

func TestQuery(t *testing.T) {
	for _, tt := range []queryTest{
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
		{"any of the targets", Query{Targets: []string{"rpi4"}}, "sched.1 new both old", 4},
		{"a target in another spelling", Query{Targets: []string{" RPi4"}}, "sched.1 new both old", 4},
		{"phase in any case", Query{Phase: "failed"}, "both", 1},
		{"a tag", Query{Tags: []string{"nightly"}}, "new cs", 2},
		{"all of the tags", Query{Tags: []string{"nightly", "qa"}}, "new", 1},
		{"a label", Query{Labels: map[string]string{"team": "a"}}, "new", 1},
		{"an empty label is not an absent one", Query{Labels: map[string]string{"empty": ""}}, "new", 1},
		{"all of the labels", Query{Labels: map[string]string{"team": "b", "empty": ""}}, "", 0},
		{"filters combine", Query{Architecture: "arm64", Targets: []string{"rpi4"}, Phase: "Available", Tags: []string{"qa"}}, "new old", 2},
		{"latest", Query{Latest: true}, "sched.2 other/sched.1 new cs both", 5},
		{"latest of what matches", Query{Latest: true, Distro: "autosd"}, "sched.1 other/sched.1 new both", 4},
		{"latest, limited", Query{Latest: true, Limit: 1, Sort: SortName}, "both", 5},
	} {
		t.Run(tt.name, tt.run)
	}
}

func TestQueryFinds(t *testing.T) {
	for _, tt := range []queryTest{
		{"any of several targets", Query{Targets: []string{"none", "qemu", "rpi4"}}, "sched.1 new both old", 4},
		{"a name", Query{Name: "new"}, "new", 1},
		{"a pattern of names", Query{Name: "*c*"}, "sched.2 sched.1 other/sched.1 cs", 4},
		{"a pattern for the whole name", Query{Name: "sched"}, "", 0},
		{"text of the name", Query{Search: "SCHED."}, "sched.2 sched.1 other/sched.1", 3},
		{"text of a tag", Query{Search: "ghtl"}, "new cs", 2},
		{"text of a label", Query{Search: "Team=B"}, "both", 1},
		{"since", Query{Since: sampleTime.Add(5 * time.Minute)}, "sched.2 sched.1 other/sched.1", 3},
		{"all phases", Query{Phase: "ALL", Distro: "cs9"}, "sched.2 cs", 2},
		{"by version, none last", Query{Sort: SortVersion}, "both cs new old sched.1 other/sched.1 sched.2", 7},
	} {
		t.Run(tt.name, tt.run)
	}
}

func (tt queryTest) run(t *testing.T) {
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
	for _, q := range []Query{{}, {Sort: SortSize}, {Sort: SortName}, {Sort: SortCreated, Limit: 1000}, {Sort: SortVersion, Phase: "aLL", Name: "a*-1.*", Search: "Überall"}} {
		if err := q.Check(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, q := range []Query{{Sort: "age"}, {Sort: "Name"}, {Limit: -1}, {Phase: "Broken"}, {Name: "A*"}, {Name: "a?"}, {Name: strings.Repeat("*", 200)}, {Search: "a\nb"}, {Search: "\xff"}, {Search: strings.Repeat("x", 257)}} {
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

// One list in every case that text can be in.
func TestSearchFolds(t *testing.T) {
	items := []Item{{Name: "a", Description: "Straßenbahn Σίσυφος"}}
	for text, want := range map[string]int{"STRAßEN": 1, "ΣΊΣΥΦΟΣ": 1, "σίσυφοσ": 1, "bahn σ": 1, "bahnσ": 0} {
		if got := (Query{Search: text}).Select(items).Total; got != want {
			t.Errorf("%q finds %d, want %d", text, got, want)
		}
	}
}

func TestCountFacets(t *testing.T) {
	want := Facets{
		"architecture": {"arm64": 5, "amd64": 3}, "distro": {"autosd": 5, "cs9": 2}, "target": {"rpi4": 4, "qemu": 1},
		"format": {"bootc": 1}, "phase": {"Available": 6, "Failed": 1}, "tags": {"nightly": 2, "qa": 2}, "signed": {"verified": 1, "unsigned": 1},
	}
	items := shelf()
	items[0].Bootc, items[0].Targets = true, append(items[0].Targets, items[0].Targets[0])
	if diff := cmp.Diff(want, CountFacets(items)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var many []Item
	for n := range 300 {
		many = append(many, Item{Distro: strings.Repeat("x", n+1)}, Item{Distro: "common"}, Item{Distro: strings.Repeat("x", 300)})
	}
	counts := CountFacets(many)["distro"]
	if len(counts) != maxFacet || counts["common"] != 300 || counts[strings.Repeat("x", 300)] != 301 {
		t.Errorf("%d values, of the common ones %d and %d", len(counts), counts["common"], counts[strings.Repeat("x", 300)])
	}
}
