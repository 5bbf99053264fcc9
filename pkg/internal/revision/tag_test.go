package revision

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

const sampleHash = "0123456789abcdef"

func TestTagRoundTrip(t *testing.T) {
	long := strings.Repeat("n", 96)
	for _, tt := range []struct {
		name string
		text string
		want Tag
	}{
		{"publish", "autosd.0mm7kwn40.p" + sampleHash, Tag{"autosd", 1772359200000, OpPublish, sampleHash}},
		{"remove", "autosd.0mm7kwn40.r" + sampleHash, Tag{"autosd", 1772359200000, OpRemove, sampleHash}},
		{"snapshot", "_snapshot.0mm7kwn40.s" + sampleHash, Tag{"_snapshot", 1772359200000, OpSnapshot, sampleHash}},
		{"dots in the name", "a.b-c.1.0mm7kwn40.p" + sampleHash, Tag{"a.b-c.1", 1772359200000, OpPublish, sampleHash}},
		{"a name that looks like a tag", "a.000000001.pffffffffffffffff.0mm7kwn40.p" + sampleHash, Tag{"a.000000001.pffffffffffffffff", 1772359200000, OpPublish, sampleHash}},
		{"one letter", "a.0mm7kwn40.p" + sampleHash, Tag{"a", 1772359200000, OpPublish, sampleHash}},
		{"the longest name", long + ".0mm7kwn40.p" + sampleHash, Tag{long, 1772359200000, OpPublish, sampleHash}},
		{"the first instant", "a.000000000.p" + sampleHash, Tag{"a", 0, OpPublish, sampleHash}},
		{"the last instant", "a.zzzzzzzzz.p" + sampleHash, Tag{"a", 101559956668415, OpPublish, sampleHash}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseTag(tt.text)
			if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
				t.Errorf("ParseTag: ok is %t\n%s", ok, diff)
			}
			if text := tt.want.String(); text != tt.text {
				t.Errorf("String() = %s, want %s", text, tt.text)
			}
			if len(tt.text) > 128 {
				t.Errorf("%d characters are more than a registry's tag may have", len(tt.text))
			}
		})
	}
}

func TestForeignTagsAreIgnored(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"empty", ""},
		{"people's own", "latest"},
		{"a version", "1.4.0"},
		{"fallback referrers tag", "sha256-" + strings.Repeat("ab", 32)},
		{"signature", "sha256-" + strings.Repeat("ab", 32) + ".sig"},
		{"name that is too long", strings.Repeat("n", 96+1) + ".0mm7kwn40.p" + sampleHash},
		{"no name", ".0mm7kwn40.p" + sampleHash},
		{"upper case in the name", "Autosd.0mm7kwn40.p" + sampleHash},
		{"name that ends with a dash", "autosd-.0mm7kwn40.p" + sampleHash},
		{"line break after the name", "autosd\n.0mm7kwn40.p" + sampleHash},
		{"upper case in the time", "autosd.0MM7KWN40.p" + sampleHash},
		{"time too short", "autosd.mm7kwn40.p" + sampleHash},
		{"time too long", "autosd.00mm7kwn40.p" + sampleHash},
		{"signed time", "autosd.-00000001.p" + sampleHash},
		{"unknown operation", "autosd.0mm7kwn40.x" + sampleHash},
		{"no operation", "autosd.0mm7kwn40." + sampleHash},
		{"upper case in the hash", "autosd.0mm7kwn40.p0123456789ABCDEF"},
		{"hash too short", "autosd.0mm7kwn40.p0123456789abcde"},
		{"hash too long", "autosd.0mm7kwn40.p" + sampleHash + "0"},
		{"snapshot of an entry", "autosd.0mm7kwn40.s" + sampleHash},
		{"publication of snapshots", "_snapshot.0mm7kwn40.p" + sampleHash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tag, ok := ParseTag(tt.text); ok {
				t.Errorf("%q is taken for %+v", tt.text, tag)
			}
		})
	}
}

func TestParseTagsSortsAndDropsDuplicates(t *testing.T) {
	early, late := "b.000000001.p"+sampleHash, "a.000000002.r"+sampleHash
	same1, same2 := "a.000000003.p0000000000000000", "a.000000003.pffffffffffffffff"
	snapshot := "_snapshot.000000001.s" + sampleHash
	revisions, snapshots := ParseTags([]string{same2, late, "latest", snapshot, same1, early, snapshot, late, "sha256-00.sig"})
	texts := func(tags []Tag) (all []string) {
		for _, tag := range tags {
			all = append(all, tag.String())
		}
		return all
	}
	if diff := cmp.Diff([]string{early, late, same1, same2}, texts(revisions)); diff != "" {
		t.Errorf("revisions:\n%s", diff)
	}
	if diff := cmp.Diff([]string{snapshot}, texts(snapshots)); diff != "" {
		t.Errorf("snapshots:\n%s", diff)
	}
}

func TestTagTextOrderIsTimeOrder(t *testing.T) {
	times := []int64{0, 35, 36, 1772359200000, 1772359200001, 101559956668415}
	for i := 1; i < len(times); i++ {
		a, b := Tag{"a", times[i-1], OpRemove, sampleHash}, Tag{"a", times[i], OpPublish, sampleHash}
		if !(a.String() < b.String()) || a.Compare(b) >= 0 || b.Compare(a) <= 0 {
			t.Errorf("%s does not come before %s", a, b)
		}
	}
}

func TestTagNamesItsManifest(t *testing.T) {
	sum := digest.FromString("manifest")
	tag := NewTag("a", sampleTime, OpPublish, sum)
	if !tag.Names(sum) || tag.Time() != sampleTime {
		t.Errorf("%s does not name %s at %s", tag, sum, sampleTime)
	}
	if tag.Names(digest.FromString("another")) {
		t.Error("the tag names another manifest")
	}
	if tag.Names(digest.NewDigestFromEncoded(digest.SHA512, sum.Encoded()+sum.Encoded())) {
		t.Error("the tag names a digest of another algorithm")
	}
}

func TestTimesThatFitIntoNoTag(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(-1, 0),                    // before 1970
		time.UnixMilli(101559956668415 + 1), // ten digits
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		document := sampleDocument("autosd")
		document.PublishedAt = entry.NewTime(at)
		if packed, err := Pack(document, Seen{}); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("published at %s: %v, %v", at, packed, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "0", "autosd-qemu", "a.b", "a--b", "a..b", strings.Repeat("n", 96)} {
		if err := entry.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", "a-", ".a", "a.", "A", "a_b", "a/b", "a b", "a\n", "ä", "_snapshot", strings.Repeat("n", 96+1)} {
		if err := entry.CheckName(name); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", name, err)
		}
	}
}

func TestNextTime(t *testing.T) {
	now := sampleTime.Time
	visible := []Tag{
		{"autosd", now.UnixMilli() - 5000, OpPublish, sampleHash},
		{"other", now.UnixMilli() + 9000, OpPublish, sampleHash},
		{"_snapshot", now.UnixMilli() + 9000, OpSnapshot, sampleHash},
	}
	future := append(visible, Tag{"autosd", now.UnixMilli() + 7000, OpRemove, sampleHash}, Tag{"autosd", now.UnixMilli() + 3000, OpPublish, sampleHash})
	same := append(visible, Tag{"autosd", now.UnixMilli(), OpPublish, sampleHash})
	for _, tt := range []struct {
		name    string
		now     time.Time
		visible []Tag
		want    time.Time
	}{
		{"nothing visible", now, nil, now},
		{"a clock that goes right", now, visible, now},
		{"less than a millisecond is cut", now.Add(999 * time.Microsecond), visible, now},
		{"the same millisecond", now.Add(999 * time.Microsecond), same, now.Add(time.Millisecond)},
		{"a slow clock", now, future, now.Add(7001 * time.Millisecond)},
		{"a clock of another zone", now.In(time.FixedZone("", 3600)), visible, now},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(entry.NewTime(tt.want), NextTime(tt.now, "autosd", tt.visible)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOpString(t *testing.T) {
	got := []string{OpPublish.String(), OpRemove.String(), OpSnapshot.String(), Op('x').String()}
	if diff := cmp.Diff([]string{"publish", "remove", "snapshot", "unknown"}, got); diff != "" {
		t.Error(diff)
	}
}
