package revision

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/opencontainers/go-digest"
)

// Op is the kind of artifact that a tag of the log names: its letter before the
// hash.
type Op byte

// The operations of SPEC section 3.
const (
	OpPublish  Op = 'p'
	OpRemove   Op = 'r'
	OpSnapshot Op = 's'
)

// OpLocations is the operation of locations artifacts, which are not of the log.
const OpLocations Op = 'l'

// String returns the operation's word.
func (o Op) String() string {
	switch o {
	case OpPublish:
		return "publish"
	case OpRemove:
		return "remove"
	case OpSnapshot:
		return "snapshot"
	case OpLocations:
		return "locations"
	}
	return "unknown"
}

// SnapshotName is in the place of the entry's name in the tag of a snapshot.
const SnapshotName = "_snapshot"

// StatusName is in the place of the entry's name in the tags of status
// artifacts (SPEC section 17). They are not of the log.
const StatusName = "_status"

// LocationsName is in the place of the entry's name in the tags of locations
// artifacts (SPEC section 21). They are not of the log.
const LocationsName = "_locations"

const (
	timeDigits = 9  // base 36: until the year 5188
	hashDigits = 16 // of the manifest digest, hexadecimal
)

// Alphabets of the parts of a tag.
const (
	hexadecimal = "0123456789abcdef"
	base36      = "0123456789abcdefghijklmnopqrstuvwxyz"
)

// Tag is one event of the log, as its tag in the repository spells it (SPEC
// section 3). It is comparable; the zero Tag is no tag.
type Tag struct {
	Name   string // entry name, or "_snapshot"
	Millis int64  // Unix time in milliseconds
	Op     Op
	Hash   string // first 16 hexadecimal digits of the manifest's digest
}

// NewTag names the manifest with the given digest.
func NewTag(name string, at entry.Time, op Op, manifest digest.Digest) Tag {
	return Tag{Name: name, Millis: at.UnixMilli(), Op: op, Hash: manifest.Encoded()[:hashDigits]}
}

// SnapshotTag names a snapshot manifest.
func SnapshotTag(at entry.Time, manifest digest.Digest) Tag {
	return NewTag(SnapshotName, at, OpSnapshot, manifest)
}

// ParseTag reads a tag of the log. ok is false for every other tag: they are
// people's own, or other tools', and none of ours.
func ParseTag(text string) (tag Tag, ok bool) {
	if tag, ok = splitTag(text); !ok {
		return Tag{}, false
	}
	switch tag.Op {
	case OpPublish, OpRemove:
		ok = entry.CheckName(tag.Name) == nil
	case OpSnapshot:
		ok = tag.Name == SnapshotName
	default:
		ok = false
	}
	if !ok {
		return Tag{}, false
	}
	return tag, true
}

// splitTag reads what has the form of a tag, whatever its name and operation.
func splitTag(text string) (tag Tag, ok bool) {
	rest, last, found := cutLast(text)
	if !found || len(last) != 1+hashDigits || strings.Trim(last[1:], hexadecimal) != "" {
		return Tag{}, false
	}
	name, stamp, found := cutLast(rest)
	if !found || len(stamp) != timeDigits || strings.Trim(stamp, base36) != "" {
		return Tag{}, false
	}
	millis, err := strconv.ParseInt(stamp, 36, 64)
	return Tag{Name: name, Millis: millis, Op: Op(last[0]), Hash: last[1:]}, err == nil
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, '.')
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// String returns the tag as the registry knows it.
func (t Tag) String() string {
	stamp := strconv.FormatInt(t.Millis, 36)
	if pad := timeDigits - len(stamp); pad > 0 {
		stamp = strings.Repeat("0", pad) + stamp
	}
	return t.Name + "." + stamp + "." + string(rune(t.Op)) + t.Hash
}

// Time is when the event happened, in UTC, according to its writer.
func (t Tag) Time() entry.Time { return entry.NewTime(time.UnixMilli(t.Millis)) }

// CompareTags orders texts of tags as Compare does their tags. One that is no tag
// comes before all that are.
func CompareTags(a, b string) int {
	x, _ := ParseTag(a)
	y, _ := ParseTag(b)
	return x.Compare(y)
}

// Names reports whether the manifest with this digest is the one the tag was
// made for.
func (t Tag) Names(manifest digest.Digest) bool {
	return manifest.Algorithm() == digest.SHA256 && strings.HasPrefix(manifest.Encoded(), t.Hash)
}

// Compare orders tags by time, then by text: the order of the log, the same
// for every reader.
func (t Tag) Compare(u Tag) int {
	if c := cmp.Compare(t.Millis, u.Millis); c != 0 {
		return c
	}
	return strings.Compare(t.String(), u.String())
}

// ParseTags splits a repository's tag list into revisions and snapshots, each
// in log order without duplicates. Tags that are not the log's are dropped.
func ParseTags(listed []string) (revisions, snapshots []Tag) {
	for _, text := range listed {
		tag, ok := ParseTag(text)
		switch {
		case !ok:
		case tag.Op == OpSnapshot:
			snapshots = append(snapshots, tag)
		default:
			revisions = append(revisions, tag)
		}
	}
	for _, tags := range []*[]Tag{&revisions, &snapshots} {
		slices.SortFunc(*tags, Tag.Compare)
		*tags = slices.Compact(*tags)
	}
	return revisions, snapshots
}

// StatusTag names a status manifest.
func StatusTag(at entry.Time, manifest digest.Digest) Tag {
	return NewTag(StatusName, at, OpSnapshot, manifest)
}

// ParseStatusTags returns the tags of status artifacts among those of a
// repository, oldest first.
func ParseStatusTags(listed []string) []Tag { return parseBeside(listed, StatusName, OpSnapshot) }

// LocationsTag names the manifest of a locations artifact.
func LocationsTag(at entry.Time, manifest digest.Digest) Tag {
	return NewTag(LocationsName, at, OpLocations, manifest)
}

// ParseLocationsTags returns the tags of locations artifacts among those of a
// repository, oldest first.
func ParseLocationsTags(listed []string) []Tag {
	return parseBeside(listed, LocationsName, OpLocations)
}

// parseBeside returns the tags of one kind of artifacts beside the log, oldest first.
func parseBeside(listed []string, name string, op Op) []Tag {
	var found []Tag
	for _, text := range listed {
		if !strings.HasPrefix(text, name+".") {
			continue
		}
		if tag, ok := splitTag(text); ok && tag.Name == name && tag.Op == op {
			found = append(found, tag)
		}
	}
	slices.SortFunc(found, Tag.Compare)
	return slices.Compact(found)
}

// NextTime is the time a writer gives to a new revision of name: now, or just
// after the newest revision of that name it can see, so that a slow clock
// cannot publish into the past.
func NextTime(now time.Time, name string, visible []Tag) entry.Time {
	next := entry.NewTime(now)
	for _, tag := range visible {
		if tag.Name == name && tag.Millis >= next.UnixMilli() {
			next = entry.NewTime(time.UnixMilli(tag.Millis + 1))
		}
	}
	return next
}
