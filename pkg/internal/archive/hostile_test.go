package archive

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// forge makes an archive of members and contents whose end is right, whatever the
// contents say.
func forge(t testing.TB, members []byte, contents string) []byte {
	t.Helper()
	out := bytes.NewBuffer(bytes.Clone(members))
	w := &Writer{to: out}
	must(t, w.text(contentsName, []byte(contents)))
	end, err := tail(ocispec.Descriptor{MediaType: contentsType, Digest: digest.FromString(contents), Size: int64(len(contents))})
	must(t, err)
	out.Write(end)
	return out.Bytes()
}

// file is a member as a writer makes it.
func file(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, (&Writer{to: &out}).text(name, content))
	return out.Bytes()
}

// tarred is what a tar has for a header and its content.
func tarred(t testing.TB, header *tar.Header, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	must(t, w.WriteHeader(header))
	_, err := io.WriteString(w, content)
	must(t, err)
	must(t, w.Flush())
	return out.Bytes()
}

// forgery is an archive of one blob, as far as it is right.
type forgery struct {
	blob, index         []byte
	name                string // of the blob
	layout, whole       []byte // members
	blobText, indexText string // in the contents
}

func newForgery(t testing.TB) *forgery {
	t.Helper()
	f := &forgery{blob: []byte("blob"), index: []byte(`{"schemaVersion":2,"manifests":[]}`), layout: file(t, layoutName, []byte(layoutText))}
	blob, index := digest.FromBytes(f.blob), digest.FromBytes(f.index)
	var err error
	f.name, err = blobName(blob)
	must(t, err)
	f.whole = slices.Concat(f.layout, file(t, f.name, f.blob), file(t, indexName, f.index))
	f.blobText, f.indexText = fileText(blob.String(), "4"), fileText(index.String(), "34")
	opened(t, forge(t, f.whole, contentsText(f.blobText, f.indexText)))
	return f
}

func fileText(digest, size string) string { return `{"digest":"` + digest + `","size":` + size + `}` }

func contentsText(blobs, index string) string {
	return `{"version":1,"catalog":"c","created":"","blobs":[` + blobs + `],"index":` + index + `}`
}

// Whoever made the archive chose every byte of it: nothing that a tar can say but the
// members that an archive has is taken.
func TestHostileMembers(t *testing.T) {
	f := newForgery(t)
	index, blob := file(t, indexName, f.index), file(t, f.name, f.blob)
	header := func(change func(*tar.Header)) []byte {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: 4, Mode: 0o644, ModTime: time.Unix(0, 0)}
		change(h)
		return slices.Concat(f.layout, tarred(t, h, "blob"[:h.Size]), index)
	}
	for what, members := range map[string][]byte{
		"a name above":         header(func(h *tar.Header) { h.Name = "../" + f.name }),
		"an absolute name":     header(func(h *tar.Header) { h.Name = "/" + f.name }),
		"a dotted name":        header(func(h *tar.Header) { h.Name = "./" + f.name }),
		"another name":         header(func(h *tar.Header) { h.Name = f.name + "0" }),
		"a link":               header(func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0 }),
		"a hard link":          header(func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeLink, layoutName, 0 }),
		"a directory":          header(func(h *tar.Header) { h.Typeflag, h.Name, h.Size = tar.TypeDir, f.name+"/", 0 }),
		"a device":             header(func(h *tar.Header) { h.Typeflag, h.Size = tar.TypeBlock, 0 }),
		"another mode":         header(func(h *tar.Header) { h.Mode = 0o4755 }),
		"another owner":        header(func(h *tar.Header) { h.Uid = 1 }),
		"a PAX record":         header(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "y"} }),
		"a PAX name":           header(func(h *tar.Header) { h.Name = f.name + strings.Repeat("x", 200) }),
		"a GNU header":         header(func(h *tar.Header) { h.Format = tar.FormatGNU }),
		"another size":         header(func(h *tar.Header) { h.Size = 3 }),
		"a global PAX header":  slices.Concat(tarred(t, &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"size": "1"}}, ""), f.whole),
		"a member before":      slices.Concat(file(t, "x", f.blob), f.whole),
		"a member between":     slices.Concat(f.layout, blob, file(t, "x", f.blob), index),
		"a member behind":      slices.Concat(f.whole, file(t, "x", f.blob)),
		"a member twice":       slices.Concat(f.layout, blob, blob, index),
		"another order":        slices.Concat(f.layout, index, blob),
		"no layout":            slices.Concat(blob, index),
		"another layout":       slices.Concat(file(t, layoutName, []byte(strings.Replace(layoutText, "1", "2", 1))), blob, index),
		"another blob":         slices.Concat(f.layout, file(t, f.name, []byte("Blob")), index),
		"no member":            nil,
		"a sparse member":      sparse(t, header(func(*tar.Header) {})),
		"a padding that talks": bytes.Replace(f.whole, []byte("blob\x00"), []byte("blob!"), 1),
	} {
		refused(t, what, forge(t, members, contentsText(f.blobText, f.indexText)))
	}
}

// Nor is it what the contents say, though their own digest is right.
func TestHostileContents(t *testing.T) {
	f := newForgery(t)
	blob, index := digest.FromBytes(f.blob).String(), digest.FromBytes(f.index).String()
	for what, contents := range map[string]string{
		"a blob twice":           contentsText(f.blobText+","+f.blobText, f.indexText),
		"a digest that climbs":   contentsText(fileText("sha256:../../../etc/passwd", "4"), f.indexText),
		"a digest of zeros":      contentsText(fileText("sha256:"+strings.Repeat("0", 64), "4"), f.indexText),
		"an unknown algorithm":   contentsText(fileText("md5:"+strings.Repeat("0", 32), "4"), f.indexText),
		"no digest":              contentsText(fileText("", "4"), f.indexText),
		"a negative size":        contentsText(fileText(blob, "-1"), f.indexText),
		"a huge size":            contentsText(fileText(blob, "9223372036854775807"), f.indexText),
		"sizes that overflow":    contentsText(fileText(blob, "9223372036854775800")+","+fileText(index, "9223372036854775800"), f.indexText),
		"a size that is no size": contentsText(fileText(blob, "1e30"), f.indexText),
		"no blob":                contentsText("", f.indexText),
		"no index":               contentsText(f.blobText, `null`),
		"an index that is huge":  contentsText(f.blobText, fileText(index, "134217729")),
		"an index of SHA-512":    contentsText(f.blobText, fileText(digest.SHA512.FromBytes(f.index).String(), "34")),
		"another index":          contentsText(f.blobText, fileText(blob, "34")),
		"no JSON":                "x",
		"a later version":        strings.Replace(contentsText(f.blobText, f.indexText), `"version":1`, `"version":2`, 1),
		"a base that is none":    strings.Replace(contentsText(f.blobText, f.indexText), `"created"`, `"base":{"contents":"x"},"created"`, 1),
	} {
		refused(t, what, forge(t, f.whole, contents))
	}
	member := file(t, f.name, f.blob)
	twice := slices.Concat(f.layout, member, member, file(t, indexName, f.index))
	refused(t, "a blob that is there twice", forge(t, twice, contentsText(f.blobText+","+f.blobText, f.indexText)))
}

// sparse makes a member one with a map of holes, in the old GNU form.
func sparse(t testing.TB, members []byte) []byte {
	t.Helper()
	at := block + len(layoutText) + int(padding(int64(len(layoutText))))
	changed := bytes.Clone(members)
	changed[at+156] = 'S'
	var sum int
	copy(changed[at+148:at+156], "        ")
	for _, b := range changed[at : at+block] {
		sum += int(b)
	}
	copy(changed[at+148:at+156], []byte{'0', '0', byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return changed
}

// The index lists what is there, and each tag once.
func TestHostileIndexes(t *testing.T) {
	manifest, text := manifestOf(t, "application/x", nil)
	listing := func(d digest.Digest, size int64, tag string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: manifest.MediaType, Digest: d, Size: size, Annotations: map[string]string{ocispec.AnnotationRefName: tag}}
	}
	name, err := blobName(manifest.Digest)
	must(t, err)
	archive := func(index any) []byte {
		indexText, err := json.Marshal(index)
		must(t, err)
		members := bytes.Join([][]byte{file(t, layoutName, []byte(layoutText)), file(t, name, text), file(t, indexName, indexText)}, nil)
		contents, err := json.Marshal(Contents{Version: 1, Blobs: []File{{manifest.Digest, manifest.Size}}, Index: File{digest.FromBytes(indexText), int64(len(indexText))}})
		must(t, err)
		return forge(t, members, string(contents))
	}
	good := listing(manifest.Digest, manifest.Size, "a")
	opened(t, archive(ocispec.Index{Manifests: []ocispec.Descriptor{good, listing(manifest.Digest, manifest.Size, "b")}}))
	for what, index := range map[string]any{
		"a manifest that is not there": ocispec.Index{Manifests: []ocispec.Descriptor{listing(digest.FromString("x"), 1, "b")}},
		"a manifest of another size":   ocispec.Index{Manifests: []ocispec.Descriptor{listing(manifest.Digest, manifest.Size+1, "b")}},
		"a digest that is none":        ocispec.Index{Manifests: []ocispec.Descriptor{listing("../x", 1, "b")}},
		"a tag twice":                  ocispec.Index{Manifests: []ocispec.Descriptor{good, good}},
		"no index":                     "x",
	} {
		refused(t, what, archive(index))
	}
}

// A small file is not made a large one in memory.
func TestBombs(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	must(t, err)
	bomb := encoder.EncodeAll(make([]byte, 64<<20), nil)
	table := func(compressed, size uint32, frames int) []byte {
		entries := binary.LittleEndian.AppendUint32(nil, 0x184D2A5E)
		entries = binary.LittleEndian.AppendUint32(entries, uint32(frames*12+9))
		for range frames {
			entries = binary.LittleEndian.AppendUint32(entries, compressed)
			entries = binary.LittleEndian.AppendUint32(entries, size)
			entries = binary.LittleEndian.AppendUint32(entries, 0)
		}
		entries = binary.LittleEndian.AppendUint32(entries, uint32(frames))
		return binary.LittleEndian.AppendUint32(append(entries, 1<<7), 0x8F92EAB1)
	}
	for what, table := range map[string][]byte{
		"a frame that says how large it is":   table(uint32(len(bomb)), 64<<20, 1),
		"a frame that lies":                   table(uint32(len(bomb)), frameSize, 1),
		"a frame of nothing":                  table(uint32(len(bomb)), 0, 1),
		"frames that overlap":                 table(uint32(len(bomb)), frameSize, 1000),
		"a frame without an end":              table(1<<31, frameSize, 1),
		"no frame":                            table(0, 0, 0),
		"a frame that takes more than it has": table(2*frameSize+1, frameSize, 1),
	} {
		text := append(bytes.Clone(bomb), table...)
		text = append(text, sumFrame(newHash(text))...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refused(t, what, text)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
			t.Errorf("%s: %d bytes of memory, want less than the 64 MiB of the frame", what, grown)
		}
	}
}

// A list of nothing takes no more memory than one that a writer makes.
func TestListsOfNothing(t *testing.T) {
	const count = 6 << 20
	f := newForgery(t)
	nothing := func(what string) string { return strings.Repeat(what+",", count-1) + what }
	index := []byte(`{"manifests":[` + nothing("{}") + `]}`)
	members := slices.Concat(f.layout, file(t, f.name, f.blob), file(t, indexName, index))
	for what, text := range map[string][]byte{
		"manifests": forge(t, members, contentsText(f.blobText, fileText(digest.FromBytes(index).String(), strconv.Itoa(len(index))))),
		"blobs":     forge(t, f.whole, contentsText(nothing("{}"), f.indexText)),
		"tags":      forge(t, f.whole, strings.TrimSuffix(contentsText(f.blobText, f.indexText), "}")+`,"base":{"tags":[`+nothing(`""`)+`]}}`),
	} {
		_, err := Open(t.Context(), bytes.NewReader(text), int64(len(text)))
		if !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), "a list of more than") {
			t.Errorf("%d %s: got %v, want that they are too many", count, what, err)
		}
	}
}

// A file that others write to, after it was checked, is checked again.
func TestWhatIsReadIsCheckedAgain(t *testing.T) {
	s := newSample(t, 300)
	text := archived(t, false, options(), func(w *Writer) { s.write(t, w) })
	r := opened(t, text)
	for _, content := range [][]byte{s.layerContent, s.imageText} {
		text[bytes.Index(text, content)] ^= 1
	}
	_, blob := r.Blob(t.Context(), s.layer)
	_, _, manifest := r.Manifest(t.Context(), imageTag)
	for i, err := range []error{blob, manifest} {
		if !errors.Is(err, entry.ErrMalformed) {
			t.Errorf("read %d: got %v, want malformed", i, err)
		}
	}
}

// The digest of the contents at the end is what an archive is known by: a later format
// says so.
func TestALaterFormat(t *testing.T) {
	text := archived(t, false, options(), func(*Writer) {})
	text = bytes.Replace(text, []byte("contents.v1"), []byte("contents.v2"), 1)
	_, err := Open(t.Context(), bytes.NewReader(text), int64(len(text)))
	if !errors.Is(err, entry.ErrMalformed) || !strings.Contains(err.Error(), "a format that this version does not read") {
		t.Errorf("got %v, want a format that is not read", err)
	}
}
