//go:build linux

package blockdevice

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oci-catalog/caib/pkg/entry"
)

// tree is a system of files: those of a machine with a card that nobody uses, sdb,
// beside the disk that it runs from.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) *tree {
	s := &tree{t: t, root: t.TempDir()}
	s.disk("sda", "8:0", 1000)
	s.part("sda", "sda1", "8:1", 1, 100)
	s.part("sda", "sda2", "8:2", 2, 800)
	s.disk("sdb", "8:16", 4000)
	s.write("sys/devices/sdb/device/vendor", "Generic \n")
	s.write("sys/devices/sdb/device/model", "SD Card   \n")
	s.write("sys/devices/sdb/diskseq", "7\n")
	s.part("sdb", "sdb2", "8:18", 2, 200)
	s.part("sdb", "sdb1", "8:17", 1, 100)
	s.write("sys/devices/sdb/sdb1/uevent", "DEVTYPE=partition\nPARTN=1\nPARTNAME=boot a\n")
	s.write("proc/self/mountinfo", "")
	s.mount("8:2", "/", "/dev/sda2")
	s.mount("0:22", "/proc", "proc")
	s.write("proc/swaps", "Filename Type Size Used Priority\n")
	return s
}

func (s *tree) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

func (s *tree) more(name, text string) {
	s.t.Helper()
	before, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, string(before)+text)
}

func (s *tree) link(name, to string) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(s.root, to), path); err != nil {
		s.t.Fatal(err)
	}
}

func (s *tree) device(dir, name, number string, sectors int) {
	s.write(dir+"/dev", number+"\n")
	s.write(dir+"/size", fmt.Sprintln(sectors))
	s.write(dir+"/ro", "0\n")
	s.link("sys/dev/block/"+number, dir)
	s.link("sys/class/block/"+name, dir)
	s.write("dev/"+name, "")
}

func (s *tree) disk(name, number string, sectors int) {
	s.device("sys/devices/"+name, name, number, sectors)
	s.link("sys/block/"+name, "sys/devices/"+name)
}

func (s *tree) part(disk, name, number string, at, sectors int) {
	dir := "sys/devices/" + disk + "/" + name
	s.device(dir, name, number, sectors)
	s.write(dir+"/partition", fmt.Sprintln(at))
	s.write(dir+"/start", fmt.Sprintln(at*1000))
}

// madeOf makes a device of others.
func (s *tree) madeOf(name, number, label string, others ...string) {
	s.disk(name, number, 100)
	if label != "" {
		s.write("sys/devices/"+name+"/dm/name", label+"\n")
	}
	for _, other := range others {
		dir, err := filepath.EvalSymlinks(filepath.Join(s.root, "sys/class/block", other))
		if err != nil {
			s.t.Fatal(err)
		}
		dir = strings.TrimPrefix(dir, s.root)
		s.link("sys/devices/"+name+"/slaves/"+other, dir)
		s.link(dir+"/holders/"+name, "sys/devices/"+name)
	}
}

func (s *tree) mount(number, at, source string) {
	s.more("proc/self/mountinfo", fmt.Sprintf("30 1 %s / %s rw,relatime shared:1 - ext4 %s rw\n", number, at, source))
}

func (s *tree) inspect(number string, content []byte) *Info {
	s.t.Helper()
	root, err := filepath.EvalSymlinks(s.root)
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := system(root).inspect("/dev/card", number, bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	return info
}

func TestWhatADeviceIs(t *testing.T) {
	t.Parallel()
	content := make([]byte, 4000*sector)
	copy(content[1000*sector+82:], "FAT32   ")
	copy(content[1000*sector+71:], "BOOT       ")
	copy(content[2000*sector+1080:], "\x53\xef")
	content[2000*sector+1024+0x60] = 0x40
	copy(content[2000*sector+1144:], "rootfs\x00")
	s := newTree(t)
	want := &Info{
		Path: "/dev/card", Name: "sdb", Model: "Generic SD Card", SizeBytes: 4000 * sector, number: "8:16", sequence: 7,
		Content: []Content{
			{Name: "sdb1", SizeBytes: 100 * sector, Type: "vfat", Label: "boot a"},
			{Name: "sdb2", SizeBytes: 200 * sector, Type: "ext4", Label: "rootfs"},
		},
	}
	options := []cmp.Option{cmp.AllowUnexported(Info{}), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(want, s.inspect("8:16", content), options...); diff != "" {
		t.Errorf("the disk (-want +got):\n%s", diff)
	}
	want = &Info{
		Path: "/dev/card", Name: "sdb2", Model: "Generic SD Card", SizeBytes: 200 * sector, Partition: true, number: "8:18", sequence: 7,
		Content: []Content{{Name: "sdb2", SizeBytes: 200 * sector, Type: "ext4", Label: "rootfs"}},
	}
	if diff := cmp.Diff(want, s.inspect("8:18", content[2000*sector:]), options...); diff != "" {
		t.Errorf("the partition (-want +got):\n%s", diff)
	}
}

// refusal is a card in some state, and why it is not written to.
type refusal struct {
	name   string
	change func(s *tree)
	number string // "" is that of the card, sdb
	size   int64
	force  bool
	want   string // "" is nothing
}

// alone are what a device is by itself, and as the disk of the running system.
var alone = []refusal{
	{name: "nobody uses it"},
	{name: "just large enough", size: 4000 * sector},
	{name: "too small", size: 4000*sector + 1, force: true, want: "no room: /dev/card is too small: it has 2048000 bytes, and the image 2048001"},
	{name: "no medium", change: func(s *tree) { s.write("sys/devices/sdb/size", "0\n") }, force: true, want: "invalid: /dev/card has no medium"},
	{name: "read-only", change: func(s *tree) { s.write("sys/devices/sdb/ro", "1\n") }, force: true, want: "invalid: /dev/card is read-only"},
	{name: "a partition", number: "8:17", want: "invalid: /dev/card is a part of another device"},
	{name: "a partition, by force", number: "8:17", force: true},
	{name: "a partition of a disk that is read-only", number: "8:17", change: func(s *tree) { s.write("sys/devices/sdb/ro", "1\n") }, force: true, want: "invalid: /dev/card is read-only"},
	{name: "another partition of the disk that the system runs from", number: "8:1", force: true},
	{name: "the running system", number: "8:0", force: true, want: "conflict: /dev/card holds the running system"},
	{name: "its partition", number: "8:2", force: true, want: "conflict: /dev/card holds the running system"},
	{name: "mounted", change: func(s *tree) { s.mount("8:16", `/media/my\040card`, "/dev/sdb") }, force: true, want: "conflict: /dev/card is in use: sdb is mounted on /media/my card"},
	{name: "a mounted partition", change: func(s *tree) { s.mount("8:18", "/media", "/dev/sdb2") }, force: true, want: "conflict: /dev/card is in use: sdb2 is mounted on /media"},
	{name: "another is mounted", number: "8:17", change: func(s *tree) { s.mount("8:18", "/media", "/dev/sdb2") }, force: true},
	{name: "mounted under a number of its own", change: func(s *tree) { s.mount("0:50", "/media", "/dev/sdb2") }, force: true, want: "conflict: /dev/card is in use: sdb2 is mounted on /media"},
	{name: "mounted by a link", change: func(s *tree) {
		s.link("dev/disk/by-label/data", "dev/sdb2")
		s.mount("0:50", "/media", "/dev/disk/by-label/data")
	}, force: true, want: "conflict: /dev/card is in use: sdb2 is mounted on /media"},
}

// shared are who else uses a device.
var shared = []refusal{
	{name: "swap space", change: func(s *tree) { s.more("proc/swaps", "/dev/sdb1 partition 1000 0 -2\n") }, force: true, want: "conflict: /dev/card is in use: sdb1 is swap space"},
	{name: "a file of swap space", change: func(s *tree) { s.more("proc/swaps", "/dev/sdb1 file 1000 0 -2\n") }},
	{name: "a part of LVM's", change: func(s *tree) { s.madeOf("dm-3", "253:3", "data-home", "sdb2") }, force: true, want: "conflict: /dev/card is in use: sdb2 is a part of dm-3 (data-home)"},
	{name: "a part of a RAID", change: func(s *tree) { s.madeOf("md0", "9:0", "", "sdb", "sda1") }, force: true, want: "conflict: /dev/card is in use: sdb is a part of md0"},
	{name: "below a loop device", change: func(s *tree) {
		s.disk("loop4", "7:4", 10)
		s.write("sys/devices/loop4/loop/backing_file", "/dev/sdb\n")
	}, force: true, want: "conflict: /dev/card is in use: sdb is what loop4 shows"},
	{name: "used in many ways", change: func(s *tree) {
		for i := range 6 {
			s.mount("8:18", fmt.Sprintf("/m%d", i), "/dev/sdb2")
		}
	}, want: "conflict: /dev/card is in use: sdb2 is mounted on /m0, sdb2 is mounted on /m1, sdb2 is mounted on /m2, sdb2 is mounted on /m3 and 2 more"},
	{name: "made of others", number: "253:3", change: func(s *tree) { s.madeOf("dm-3", "253:3", "data-home", "sdb2") }, want: "invalid: /dev/card is a part of another device"},
	{name: "far below the running system", change: func(s *tree) {
		s.madeOf("md0", "9:0", "", "sdb1", "sdb2")
		s.madeOf("dm-1", "253:1", "root", "md0")
		s.write("proc/self/mountinfo", "")
		s.mount("253:1", "/", "/dev/mapper/root")
	}, force: true, want: "conflict: /dev/card holds the running system"},
	{name: "below a partition of a RAID that the system runs from", change: func(s *tree) {
		s.madeOf("md0", "9:0", "", "sdb1")
		s.part("md0", "md0p1", "259:0", 1, 10)
		s.write("proc/self/mountinfo", "")
		s.mount("259:0", "/", "/dev/md0p1")
	}, force: true, want: "conflict: /dev/card holds the running system"},
	{name: "a running system with a number of its own", change: func(s *tree) {
		s.write("proc/self/mountinfo", "")
		s.mount("0:30", "/", "/dev/sdb1")
	}, force: true, want: "conflict: /dev/card holds the running system"},
}

func TestWhatIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(alone, shared) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTree(t)
			if tt.change != nil {
				tt.change(s)
			}
			number := tt.number
			if number == "" {
				number = "8:16"
			}
			err := s.inspect(number, nil).Check(tt.size, tt.force)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want nothing in the way", err)
			case tt.want != "" && (err == nil || err.Error() != tt.want):
				t.Errorf("got %v, want %s", err, tt.want)
			}
			var refused *Error
			if err != nil && (!errors.As(err, &refused) || refused.Path != "/dev/card" || entry.Code(err) == "") {
				t.Errorf("got %#v, want an Error with a kind", err)
			}
		})
	}
}

// Where it is not known what is mounted, nothing is written to.
func TestMountsThatAreNotKnown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "30 1 8:2\n"} {
		s := newTree(t)
		if text == "" {
			if err := os.Remove(filepath.Join(s.root, "proc/self/mountinfo")); err != nil {
				t.Fatal(err)
			}
		} else {
			s.write("proc/self/mountinfo", text)
		}
		if _, err := system(s.root).inspect("/dev/card", "8:16", nil); err == nil {
			t.Errorf("mountinfo %q: got no error, want one", text)
		}
	}
	if _, err := newTreeSystem(t).inspect("/dev/card", "8:99", nil); err == nil {
		t.Error("a device that the kernel does not know: got no error, want one")
	}
}

func newTreeSystem(t *testing.T) system { return system(newTree(t).root) }
