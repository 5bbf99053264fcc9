package bmap

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

const block = 4096

// content is an image of 10 blocks and a few bytes, with something in blocks 0, 1, 3
// and the last one.
func content() []byte {
	p := make([]byte, 10*block+100)
	for _, b := range []int{0, 1, 3, 10} {
		copy(p[b*block:min((b+1)*block, len(p))], bytes.Repeat([]byte{byte(b + 1)}, block))
	}
	return p
}

func digest(p []byte) string { return fmt.Sprintf("%x", sha256.Sum256(p)) }

// unsigned is the map of content, as bmaptool writes it, but for its own digest.
func unsigned() string {
	p := content()
	return fmt.Sprintf(`<?xml version="1.0" ?>
<!-- This file contains the block map for an image file. -->

<bmap version="2.0">
    <!-- Image size in bytes: 40.1 KiB -->
    <ImageSize> %d </ImageSize>
    <BlockSize> 4096 </BlockSize>
    <BlocksCount> 11 </BlocksCount>
    <MappedBlocksCount> 4   </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> OWN </BmapFileChecksum>
    <BlockMap>
        <Range chksum="%s"> 0-1 </Range>
        <Range chksum="%s"> 3 </Range>
        <Range chksum="%s"> 10 </Range>
    </BlockMap>
</bmap>
`, len(p), digest(p[:2*block]), digest(p[3*block:4*block]), digest(p[10*block:]))
}

// signed puts the digest of a text into it.
func signed(text string) []byte {
	zeros := strings.Replace(text, "OWN", strings.Repeat("0", 64), 1)
	return []byte(strings.Replace(text, "OWN", digest([]byte(zeros)), 1))
}

func TestParse(t *testing.T) {
	t.Parallel()
	p := content()
	want := &Map{size: int64(len(p)), ranges: []span{
		{0, 2 * block, sha256.Sum256(p[:2*block])},
		{3 * block, 4 * block, sha256.Sum256(p[3*block : 4*block])},
		{10 * block, 10*block + 100, sha256.Sum256(p[10*block:])},
	}}
	for _, version := range []string{"2.0", "2.7", "1.4"} {
		got, err := Parse(signed(strings.Replace(unsigned(), `"2.0"`, `"`+version+`"`, 1)))
		if err != nil {
			t.Fatalf("version %s: %v", version, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Map{}, span{})); diff != "" {
			t.Errorf("version %s (-want +got):\n%s", version, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	bomb := `<!DOCTYPE bmap [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>` + "\n<bmap version"
	tests := []struct{ name, old, new, want string }{
		{"another element", "bmap version", "pmab version", "where a bmap is expected"},
		{"no version", ` version="2.0"`, "", "it has no version"},
		{"an old version", `"2.0"`, `"1.3"`, `version "1.3"`},
		{"a version to come", `"2.0"`, `"3.0"`, `version "3.0"`},
		{"entities", "<bmap version", bomb, "declares a document type"},
		{"an entity", " 4096 ", " &size; ", "entity"},
		{"depth", "<BlockMap>", strings.Repeat("<a>", 10_000), "without end"},
		{"long text", " 4096 ", " 4096 " + strings.Repeat(" ", 300), "is too long"},
		{"cut", "    </BlockMap>\n</bmap>", "", "does not end"},
		{"crossed ends", "</BlockMap>\n</bmap>", "</bmap>\n</BlockMap>", "ends where it does not begin"},
		{"two maps", "</bmap>", `</bmap><bmap version="2.0"></bmap>`, "where a bmap is expected"},
		{"a size twice", "<BlockSize>", "<ImageSize>1</ImageSize><BlockSize>", "is there twice"},
		{"no size", "ImageSize> ", "Other> ", "ends where it does not begin"},
		{"a negative size", "<ImageSize> ", "<ImageSize> -", "where a number is expected"},
		{"a huge size", "<ImageSize> 41060", "<ImageSize> 9223372036854775807", "11 blocks of 4096 bytes"},
		{"no number", " 4096 ", " many ", "where a number is expected"},
		{"blocks of no size", " 4096 ", " 0 ", "blocks of 0 bytes"},
		{"odd blocks", " 4096 ", " 4097 ", "blocks of 4097 bytes"},
		{"too many blocks", "<BlocksCount> 11", "<BlocksCount> 12", "12 blocks of 4096 bytes"},
		{"other mapped blocks", "<MappedBlocksCount> 4", "<MappedBlocksCount> 5", "do not have the 5 blocks"},
		{"overlapping ranges", "> 3 <", "> 1-3 <", `the range "1-3" is behind`},
		{"ranges in another order", "> 10 <", "> 2 <", `the range "2" is behind`},
		{"a range backwards", "> 3 <", "> 4-3 <", `the range "4-3" is behind`},
		{"a range beyond the end", "> 10 <", "> 10-11 <", "not within 11 blocks"},
		{"a negative range", "> 0-1 <", "> -1 <", `the range "-1" is none`},
		{"an empty range", "> 3 <", "><", `the range "" is none`},
		{"a range without a digest", `chksum="`, `other="`, `has the digest ""`},
		{"a range with a short digest", `chksum="`, `chksum="" x="`, `has the digest ""`},
		{"other digests", "> sha256 <", "> md5 <", `digests of type "md5"`},
		{"no digest of its own", " OWN ", " ", `has the digest "" of its own`},
		{"another digest of its own", " OWN ", strings.Repeat("0", 64), "its own digest is another one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(unsigned(), tt.old, tt.new, 1)
			if text == unsigned() {
				t.Fatal("nothing was changed")
			}
			_, err := Parse(signed(text))
			if !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a malformed map: %s", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"nothing": "", "no XML": "ImageSize: 3\n", "size": strings.Repeat(" ", MaxSize+1),
		"ranges": `<bmap version="2.0"><BlockMap>` + strings.Repeat("<Range/>", maxRanges+1),
	} {
		if _, err := Parse([]byte(text)); !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("%s: got %v, want a malformed map", name, err)
		}
	}
}

// skipping notes what it is told.
type skipping struct {
	bytes.Buffer
	skipped []int64
}

func (s *skipping) Skip(n int64) error {
	s.skipped = append(s.skipped, n)
	s.Write(make([]byte, n))
	return nil
}

func write(to io.Writer, p []byte, piece int) error {
	m, err := Parse(signed(unsigned()))
	if err != nil {
		return err
	}
	w := m.NewWriter(to)
	for len(p) > 0 {
		n, err := w.Write(p[:min(piece, len(p))])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return w.End()
}

func TestWriter(t *testing.T) {
	t.Parallel()
	for _, piece := range []int{1, 1000, block, 7*block + 1, 1 << 20} {
		var whole bytes.Buffer
		if err := write(&whole, content(), piece); err != nil || !bytes.Equal(whole.Bytes(), content()) {
			t.Errorf("pieces of %d: got %v and %d bytes, want the image", piece, err, whole.Len())
		}
		var skips skipping
		if err := write(&skips, content(), piece); err != nil || !bytes.Equal(skips.Bytes(), content()) {
			t.Errorf("pieces of %d, with skips: got %v and %d bytes, want the image", piece, err, skips.Len())
		}
		if diff := cmp.Diff([]int64{block, 6 * block}, skips.skipped); diff != "" {
			t.Errorf("pieces of %d: what was skipped (-want +got):\n%s", piece, diff)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	changed := func(at int) []byte {
		p := content()
		p[at] ^= 1
		return p
	}
	tests := []struct {
		name string
		p    []byte
		want string
	}{
		{"the first byte", changed(0), "the bytes from 0 to 8192 are not those of its bmap"},
		{"a range", changed(4*block - 1), "the bytes from 12288 to 16384 are not those of its bmap"},
		{"the last byte", changed(len(content()) - 1), "the bytes from 40960 to 41060 are not those of its bmap"},
		{"what is not mapped", changed(5 * block), "where its bmap has none"},
		{"shorter", content()[:10*block], "it has 40960 bytes, and its bmap 41060"},
		{"shorter by a byte", content()[:len(content())-1], "it has 41059 bytes, and its bmap 41060"},
		{"longer", append(content(), 0), "it is longer than the 41060 bytes of its bmap"},
		{"nothing", nil, "it has 0 bytes, and its bmap 41060"},
	}
	for _, tt := range tests {
		for _, to := range []io.Writer{io.Discard, &skipping{}} {
			err := write(to, tt.p, 10_000)
			if !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(signed(unsigned()))
	f.Add([]byte(`<bmap version="2.0"><BlockMap><Range chksum="00">0-1</Range></BlockMap></bmap>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			if !errors.Is(err, entry.ErrMalformed) {
				t.Errorf("got %v, want a malformed map", err)
			}
			return
		}
		end := int64(0)
		for _, r := range m.ranges {
			if r.from < end || r.to <= r.from || r.to > m.size {
				t.Errorf("got the range %d to %d behind %d, of %d bytes", r.from, r.to, end, m.size)
			}
			end = r.to
		}
	})
}
