package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/e2e/fill"
	"github.com/oci-catalog/caib/e2e/registries"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

var full = flag.Bool("full", false, "run long campaigns in full, not at a tenth")

// tenth is a tenth of a number, or all of it in a full campaign.
func tenth(n int) int {
	if *full {
		return n
	}
	return n / 10
}

// maxMemory bounds what a command may hold, whatever a registry sends.
const maxMemory = 256 << 20

// hostile is a catalog that somebody with push access filled.
type hostile struct {
	*world
	repository registry.Repository
}

// No snapshot, flood or large entry makes a command hold more memory than that,
// or miss what the catalog has.
func TestHostileCatalogsAreBounded(t *testing.T) {
	const entries = 44
	for name, attack := range map[string]func(h *hostile) (more int){
		"blanks":      func(h *hostile) int { return h.pushHuge(" ") },
		"empty lines": func(h *hostile) int { return h.pushHuge("\n") },
		"manifests that are none": func(h *hostile) int {
			return h.pushClaims(tenth(300_000), func(i int) (entry.Tag, []byte) {
				text := fmt.Appendf(nil, `{"n":%d}`, i)
				return entry.NewTag(fmt.Sprint("n", i), entry.NewTime(time.Now()), entry.OpPublish, digest.FromBytes(text)), text
			})
		},
		"revisions that never were": func(h *hostile) int {
			return h.pushClaims(tenth(100_000), func(i int) (entry.Tag, []byte) {
				packed, err := entry.Pack(fill.Document(100_000+i, time.Now()), entry.Seen{})
				if err != nil {
					h.t.Fatal(err)
				}
				return packed.Tag, packed.Manifest
			})
		},
		"flood":            func(h *hostile) int { return h.pushFlood(tenth(3000)) },
		"large entries":    func(h *hostile) int { return h.pushLarge(tenth(700)) },
		"large records":    func(h *hostile) int { return h.pushLargeRecords() },
		"large signatures": func(h *hostile) int { return h.pushLargeSignatures(tenth(600)) },
	} {
		t.Run(name, func(t *testing.T) {
			server := registries.GGCR(t, true)
			h := &hostile{world: newWorld(t, at(server.Host, name, true))}
			if err := fill.Catalog(t.Context(), h.on.catalog, entries); err != nil {
				t.Fatal(err)
			}
			h.open()
			want := entries + attack(h)
			for _, state := range []string{"cold", "warm"} {
				listed, took, held := h.measured("catalog", "list", "-o", "name", "--timeout", "100s")
				if got := strings.Count(listed, "\n"); got != want {
					t.Errorf("%s: %d entries, want %d", state, got, want)
				}
				if held > maxMemory {
					t.Errorf("%s: %d MiB held, want at most %d", state, held>>20, maxMemory>>20)
				}
				t.Logf("%s: %d MiB, %s", state, held>>20, took.Round(time.Millisecond))
			}
		})
	}
}

// measured runs a command and returns what it prints, and what it took.
func (h *hostile) measured(args ...string) (stdout string, took time.Duration, held int64) {
	h.t.Helper()
	command := exec.CommandContext(h.t.Context(), h.caib, args...)
	command.Env = h.env
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	begun := time.Now()
	if err := command.Start(); err != nil {
		h.t.Fatal(err)
	}
	most := watchMemory(command.Process.Pid)
	if err := command.Wait(); err != nil {
		h.t.Errorf("caib %v: %v\n%s", args, err, errs.String())
	}
	return out.String(), time.Since(begun), most()
}

// watchMemory returns the most that a process had resident, in bytes, once it
// ended. What the system counts for an ended child is no use: it counts from
// before exec, when the child still was its parent.
func watchMemory(pid int) (most func() int64) {
	ended, result := make(chan struct{}), make(chan int64)
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		var held int64
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, rest, _ := strings.Cut(string(status), "VmHWM:")
			var kib int64
			if _, err := fmt.Sscan(rest, &kib); err == nil {
				held = max(held, kib<<10)
			}
			select {
			case <-ticker.C:
			case <-ended:
				result <- held
				return
			}
		}
	}()
	return func() int64 { close(ended); return <-result }
}

func (h *hostile) open() {
	h.t.Helper()
	ref, err := registry.ParseReference(h.on.catalog)
	if err != nil {
		h.t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.repository, err = client.Open(ref); err != nil {
		h.t.Fatal(err)
	}
}

// pushHuge pushes three snapshots whose 64 segments are one gigabyte of a text.
func (h *hostile) pushHuge(text string) int {
	var blob bytes.Buffer
	w, err := zstd.NewWriter(&blob, zstd.WithWindowSize(1<<20))
	if err != nil {
		h.t.Fatal(err)
	}
	block := []byte(strings.Repeat(text, 1<<20))
	for range 1 << 10 {
		if _, err := w.Write(block); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	for i := range 3 {
		h.pushSnapshot(time.Duration(i)*time.Second, slices.Repeat([][]byte{blob.Bytes()}, 64)...)
	}
	return 0
}

// pushClaims pushes a snapshot of manifests that are nowhere else.
func (h *hostile) pushClaims(count int, claim func(i int) (entry.Tag, []byte)) int {
	var blob bytes.Buffer
	w, err := zstd.NewWriter(&blob, zstd.WithWindowSize(1<<20))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range count {
		tag, manifest := claim(i)
		line, err := json.Marshal(map[string]string{"tag": tag.String(), "manifest": string(manifest)})
		if err == nil {
			_, err = w.Write(append(line, '\n'))
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.pushSnapshot(time.Minute, blob.Bytes())
	return 0
}

func (h *hostile) pushSnapshot(ahead time.Duration, segments ...[]byte) {
	h.t.Helper()
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: entry.MediaTypeSnapshot, Config: ocispec.DescriptorEmptyJSON,
		Annotations: map[string]string{"ahead": ahead.String()},
	}
	for _, segment := range segments {
		d := ocispec.Descriptor{MediaType: entry.MediaTypeSegment, Digest: digest.FromBytes(segment), Size: int64(len(segment))}
		if err := h.repository.PushBlob(h.t.Context(), d, segment); err != nil {
			h.t.Fatal(err)
		}
		manifest.Layers = append(manifest.Layers, d)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		h.t.Fatal(err)
	}
	described := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(text), Size: int64(len(text))}
	tag := entry.SnapshotTag(entry.NewTime(time.Now().Add(time.Hour+ahead)), described.Digest)
	if err := h.repository.PushManifest(h.t.Context(), described, text, tag.String()); err != nil {
		h.t.Fatal(err)
	}
}

// pushFlood pushes tags of one name that hold no revision.
func (h *hostile) pushFlood(count int) int {
	junk := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":` + emptyConfig + `,"layers":[]}`)
	if err := h.repository.PushBlob(h.t.Context(), ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data); err != nil {
		h.t.Fatal(err)
	}
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(junk), Size: int64(len(junk))}
	for i := range count {
		tag := entry.NewTag(fill.Name(0), entry.NewTime(time.Now()), entry.OpPublish, digest.FromString(fmt.Sprint(i)))
		if err := h.repository.PushManifest(h.t.Context(), d, junk, tag.String()); err != nil {
			h.t.Fatal(err)
		}
	}
	return 0
}

const emptyConfig = `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`

// pushLarge publishes entries of 130 KB that do not compress, with a snapshot.
func (h *hostile) pushLarge(count int) int {
	h.t.Helper()
	log := ocilog.New(h.repository, h.on.catalog, ocilog.Options{})
	noise := make([]byte, 768)
	for i := range count {
		document := fill.Document(100_000+i, time.Now())
		document.Labels = map[string]string{}
		for n := range 125 {
			_, _ = rand.Read(noise)
			document.Labels[fmt.Sprint("label-", n)] = base64.RawURLEncoding.EncodeToString(noise)
		}
		packed, err := entry.Pack(document, entry.Seen{})
		if err == nil {
			err = log.Append(h.t.Context(), packed, nil)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	view, err := log.Read(h.t.Context())
	if err == nil {
		_, err = log.Compact(h.t.Context(), view)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return count
}

// pushLargeRecords pushes a snapshot of genuine records that are almost as large
// as readers take them.
func (h *hostile) pushLargeRecords() int {
	h.t.Helper()
	more := `"more":"` + strings.Repeat("x", 9<<20) + `"`
	h.pushRecords(2, func(int) string { return more })
	return 0
}

// pushLargeSignatures publishes entries, and pushes a snapshot of genuine records
// that have all the signatures that are kept of one revision, for a reader with a
// policy.
func (h *hostile) pushLargeSignatures(count int) int {
	h.t.Helper()
	log := ocilog.New(h.repository, h.on.catalog, ocilog.Options{})
	for i := range count {
		packed, err := entry.Pack(fill.Document(100_000+i, time.Now()), entry.Seen{})
		if err == nil {
			err = log.Append(h.t.Context(), packed, nil)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	text := strings.Repeat("x", 16<<10-32)
	h.pushRecords(1, func(i int) string {
		signatures := make([]string, 32)
		for n := range signatures {
			signatures[n] = fmt.Sprintf(`"%d %d %s"`, i, n, text)
		}
		return `"signatures":[` + strings.Join(signatures, ",") + `]`
	})
	_, public := keyFiles(h.t)
	policy := filepath.Join(filepath.Dir(public), "policy.yaml")
	if err := os.WriteFile(policy, []byte("version: 1\ndefault: {mode: warn, keys: [{file: k.pub}]}\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.env = append(h.env, "CAIB_POLICY="+policy)
	return count
}

// pushRecords pushes a snapshot that has a record of each revision in some
// segments, with more members.
func (h *hostile) pushRecords(segments int, more func(i int) string) {
	h.t.Helper()
	listed, err := h.repository.Tags(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	tags, _ := entry.ParseTags(listed)
	blobs := make([]bytes.Buffer, segments)
	writers := make([]*zstd.Encoder, segments)
	for i := range writers {
		if writers[i], err = zstd.NewWriter(&blobs[i], zstd.WithWindowSize(1<<20)); err != nil {
			h.t.Fatal(err)
		}
	}
	for i, tag := range tags {
		_, manifest, err := h.repository.Manifest(h.t.Context(), tag.String())
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := json.Marshal(string(manifest))
		if err != nil {
			h.t.Fatal(err)
		}
		for n, w := range writers {
			if _, err := fmt.Fprintf(w, `{"tag":"%s","manifest":%s,"segment":%d,%s}`+"\n", tag, text, n, more(i)); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	texts := make([][]byte, segments)
	for i, w := range writers {
		if err := w.Close(); err != nil {
			h.t.Fatal(err)
		}
		texts[i] = blobs[i].Bytes()
	}
	h.pushSnapshot(time.Minute, texts...)
}
