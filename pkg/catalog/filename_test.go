package catalog

import (
	"strings"
	"testing"
)

func TestUnsafeName(t *testing.T) {
	for _, name := range []string{"disk.raw", "boot_a.simg", "a", "größe.img", "disk image.raw", "con-fig.raw", "disk..raw", "part.raw", "comma,.raw"} {
		if reason := unsafeName(name); reason != "" {
			t.Errorf("%q: got %q, want that it is a name", name, reason)
		}
	}
	for _, name := range []string{
		"", ".", "..", "../disk.raw", "/etc/passwd", `..\disk.raw`, `c:\disk.raw`, "c:disk.raw", "images/disk.raw", ".bashrc", "-rf",
		"disk\x00.raw", "disk\n.raw", "disk\u202e.raw", "disk\xff.raw", "disk.raw.", "disk.raw ", " disk.raw", "CON", "con.raw", "Lpt1.img", "com¹",
		"nul .raw", "disk.raw:stream", "what?.raw", "a*", "disk.part", "disk.PART", "disk.part.lock", strings.Repeat("x", 201),
	} {
		if reason := unsafeName(name); reason == "" {
			t.Errorf("%q is taken for a name", name)
		}
	}
}
