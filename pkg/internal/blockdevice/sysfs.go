package blockdevice

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// system is where the kernel tells of its devices: below "/", but for tests.
type system string

// node is a device in sysfs.
type node struct {
	dir, name, number string
}

const sector = 512

// maxChain bounds how many devices a device is made of, one below the other.
const maxChain = 32

// inspect describes the device with a number. Reader is its content; nil is
// unreadable.
func (s system) inspect(path, number string, content io.ReaderAt) (*Info, error) {
	self, err := s.node("dev/block/" + number)
	if err != nil {
		return nil, fmt.Errorf("%s: nothing is known about the device %s: %w", path, number, err)
	}
	info := &Info{Path: path, Name: self.name, number: self.number, SizeBytes: self.value("size") * sector}
	disk := self
	if self.has("partition") {
		disk = self.parent()
	}
	info.Model = disk.model()
	info.Partition = self.has("partition") || len(entries(self.dir, "slaves")) > 0
	info.readOnly = self.value("ro") != 0 || disk.value("ro") != 0
	info.sequence = uint64(disk.value("diskseq"))
	members := append([]node{self}, self.partitions()...)
	info.Content = contents(members, content)
	mounts, err := s.mounts()
	if err != nil {
		return nil, fmt.Errorf("%s: what is mounted is not known: %w", path, err)
	}
	below := s.below(mounts)
	for _, member := range members {
		info.root = info.root || slices.Contains(below, member.name)
		info.uses = append(info.uses, s.uses(member, mounts)...)
	}
	return info, nil
}

func (s system) path(name string) string { return filepath.Join(string(s), name) }

// node finds a device below /sys.
func (s system) node(link string) (node, error) {
	dir, err := filepath.EvalSymlinks(s.path("sys/" + link))
	if err != nil {
		return node{}, err
	}
	return nodeAt(dir), nil
}

func nodeAt(dir string) node {
	n := node{dir: dir, name: filepath.Base(dir)}
	n.number = n.text("dev")
	return n
}

func (n node) parent() node { return nodeAt(filepath.Dir(n.dir)) }

func (n node) has(file string) bool {
	_, err := os.Stat(filepath.Join(n.dir, file))
	return err == nil
}

// text reads an attribute; what is not there is "".
func (n node) text(file string) string {
	text, _ := os.ReadFile(filepath.Join(n.dir, file))
	return strings.TrimSpace(string(text))
}

// value reads a number; what is not there, or none, is 0.
func (n node) value(file string) int64 {
	value, _ := strconv.ParseInt(n.text(file), 10, 64)
	return max(value, 0)
}

// entries are the names in a directory; what is not there has none.
func entries(dir ...string) (names []string) {
	found, _ := os.ReadDir(filepath.Join(dir...))
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

// model is what somebody knows a disk by.
func (n node) model() string {
	model := strings.TrimSpace(n.text("device/vendor") + " " + n.text("device/model"))
	if strings.HasPrefix(n.text("device/vendor"), "0x") { // a bus's number, no name
		model = n.text("device/model")
	}
	return cmp.Or(model, n.text("device/name"), n.text("loop/backing_file"), n.text("dm/name"))
}

// partitions are those of a disk, in their order.
func (n node) partitions() (found []node) {
	for _, name := range entries(n.dir) {
		if p := nodeAt(filepath.Join(n.dir, name)); p.has("partition") {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b node) int { return cmp.Compare(a.value("partition"), b.value("partition")) })
	return found
}

// contents says what is on a device, by its partitions where it has any.
func contents(members []node, content io.ReaderAt) (found []Content) {
	for i, member := range members {
		if i == 0 && len(members) > 1 {
			continue
		}
		c := Content{Name: member.name, SizeBytes: member.value("size") * sector}
		if content != nil {
			at := int64(0)
			if i > 0 {
				at = member.value("start") * sector
			}
			c.Type, c.Label = probe(content, at)
		}
		for line := range strings.Lines(member.text("uevent")) {
			if name, is := strings.CutPrefix(strings.TrimSpace(line), "PARTNAME="); is {
				c.Label = cmp.Or(name, c.Label)
			}
		}
		found = append(found, c)
	}
	return found
}

// mount is a line of mountinfo.
type mount struct {
	number, at, source string
}

func (s system) mounts() (found []mount, err error) {
	file, err := os.Open(s.path("proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20) // options of overlays are long
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(rest) < 2 {
			return nil, fmt.Errorf("mountinfo has the line %q", lines.Text())
		}
		found = append(found, mount{number: fields[2], at: unescape(fields[4]), source: unescape(rest[1])})
	}
	return found, lines.Err()
}

// unescape undoes the octal escapes of mountinfo and swaps.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if value, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(value))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// names reports whether a path of a device, or what a link leads to, is that of a
// device.
func (s system) names(path string, n node) bool {
	if !strings.HasPrefix(path, "/dev/") {
		return false
	}
	if resolved, err := filepath.EvalSymlinks(s.path(path)); err == nil {
		path = resolved
	}
	return filepath.Base(path) == n.name
}

// uses says who uses a device.
func (s system) uses(n node, mounts []mount) (found []string) {
	for _, m := range mounts {
		if m.number == n.number || s.names(m.source, n) { // some file systems have numbers of their own
			found = append(found, fmt.Sprintf("%s is mounted on %s", n.name, m.at))
		}
	}
	swaps, _ := os.ReadFile(s.path("proc/swaps")) // a kernel without swap has none
	for line := range strings.Lines(string(swaps)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "partition" && s.names(unescape(fields[0]), n) {
			found = append(found, n.name+" is swap space")
		}
	}
	for _, holder := range entries(n.dir, "holders") {
		label := n.text("holders/" + holder + "/dm/name")
		if label != "" {
			label = " (" + label + ")"
		}
		found = append(found, fmt.Sprintf("%s is a part of %s%s", n.name, holder, label))
	}
	for _, disk := range entries(s.path("sys/block")) {
		file, _ := os.ReadFile(s.path("sys/block/" + disk + "/loop/backing_file"))
		if s.names(strings.TrimSpace(string(file)), n) {
			found = append(found, fmt.Sprintf("%s is what %s shows", n.name, disk))
		}
	}
	return found
}

// below are the names of all devices that the running system is on.
func (s system) below(mounts []mount) (names []string) {
	var pending []node
	for _, m := range mounts {
		if m.at != "/" {
			continue
		}
		if n, err := s.node("dev/block/" + m.number); err == nil {
			pending = append(pending, n)
		}
		if strings.HasPrefix(m.source, "/dev/") {
			path := s.path(m.source)
			if resolved, err := filepath.EvalSymlinks(path); err == nil {
				path = resolved
			}
			if n, err := s.node("class/block/" + filepath.Base(path)); err == nil {
				pending = append(pending, n)
			}
		}
	}
	for ; len(pending) > 0 && len(names) < maxChain; pending = pending[1:] {
		n := pending[0]
		names = append(names, n.name)
		if n.has("partition") {
			pending = append(pending, n.parent())
		}
		for _, slave := range entries(n.dir, "slaves") {
			if below, err := filepath.EvalSymlinks(filepath.Join(n.dir, "slaves", slave)); err == nil {
				pending = append(pending, nodeAt(below))
			}
		}
	}
	return names
}
