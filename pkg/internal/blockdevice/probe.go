package blockdevice

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// signature is what tells a file system or a table.
type signature struct {
	name      string
	at        int
	magic     string
	label     int // where its label is, and how long; 0 has none
	labelSize int
}

// signatures in the order in which they count: tables last, for file systems have
// some of their marks.
var signatures = []signature{
	{"LUKS", 0, "LUKS\xba\xbe", 0, 0},
	{"LVM", 512, "LABELONE", 0, 0},
	{"RAID", 4096, "\xfc\x4e\x2b\xa9", 0, 0},
	{"ext", 1080, "\x53\xef", 1144, 16},
	{"xfs", 0, "XFSB", 108, 12},
	{"btrfs", 0x10040, "_BHRfS_M", 0x1012b, 256},
	{"f2fs", 1024, "\x10\x20\xf5\xf2", 0, 0},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0", 0, 0},
	{"squashfs", 0, "hsqs", 0, 0},
	{"swap", 4086, "SWAPSPACE2", 1052, 16},
	{"exfat", 3, "EXFAT   ", 0, 0},
	{"ntfs", 3, "NTFS    ", 0, 0},
	{"vfat", 82, "FAT32", 71, 11},
	{"vfat", 54, "FAT1", 43, 11},
	{"gpt", 512, "EFI PART", 0, 0},
	{"iso9660", 32769, "CD001", 32808, 32},
	{"dos", 510, "\x55\xaa", 0, 0},
}

// probeSize is as much as signatures reach.
const probeSize = 0x10240

// probe tells what begins at an offset; "" is not known.
func probe(content io.ReaderAt, at int64) (kind, label string) {
	start := make([]byte, probeSize)
	if n, err := content.ReadAt(start, at); err != nil && !errors.Is(err, io.EOF) {
		return "", ""
	} else if n < len(start) {
		clear(start[n:])
	}
	for _, s := range signatures {
		if !bytes.HasPrefix(start[s.at:], []byte(s.magic)) {
			continue
		}
		kind, label = s.name, plain(start[s.label:s.label+s.labelSize])
		if kind == "ext" {
			kind = extVersion(start[1024:])
		}
		if kind == "vfat" && label == "NO NAME" {
			label = ""
		}
		return kind, label
	}
	return "", ""
}

// extVersion tells ext2, 3 and 4 by their features.
func extVersion(superblock []byte) string {
	const journal, extents = 0x4, 0x40
	switch {
	case binary.LittleEndian.Uint32(superblock[0x60:])&extents != 0:
		return "ext4"
	case binary.LittleEndian.Uint32(superblock[0x5c:])&journal != 0:
		return "ext3"
	}
	return "ext2"
}

// plain is a label up to its end.
func plain(label []byte) string {
	label, _, _ = bytes.Cut(label, []byte{0})
	if !utf8.Valid(label) {
		return ""
	}
	return strings.TrimSpace(string(label))
}
