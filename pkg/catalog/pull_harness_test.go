package catalog_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testcompress"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// storage serves the blobs of disk images in the place of their registry, with
// ranges, and as a test wants it.
type storage struct {
	t    testing.TB
	next http.Handler

	answering sync.WaitGroup // requests for blobs
	mu        sync.Mutex
	blobs     map[string][]byte // by digest
	served    int64             // bytes of blobs
	asked     int
	// fault answers the nth request for a blob, from 1, instead; it reports whether
	// it did. nil never does.
	fault func(w http.ResponseWriter, r *http.Request, n int, content []byte) bool
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, isBlob := strings.Cut(r.URL.Path, "/blobs/")
	s.mu.Lock()
	content, mine := s.blobs[name]
	if !isBlob || !mine || r.Method != http.MethodGet {
		s.mu.Unlock()
		s.next.ServeHTTP(w, r)
		return
	}
	s.asked++
	n, fault := s.asked, s.fault
	s.answering.Add(1)
	s.mu.Unlock()
	defer s.answering.Done()
	counted := &counting{ResponseWriter: w, storage: s}
	if fault == nil || !fault(counted, r, n, content) {
		http.ServeContent(counted, r, "", time.Time{}, bytes.NewReader(content))
	}
}

type counting struct {
	http.ResponseWriter
	storage *storage
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.storage.mu.Lock()
	c.storage.served += int64(n)
	c.storage.mu.Unlock()
	return n, err
}

// during sets a fault, and returns how often blobs were asked for, and the bytes that
// were served, while step ran.
func (s *storage) during(fault func(http.ResponseWriter, *http.Request, int, []byte) bool, step func()) (asked int, served int64) {
	s.mu.Lock()
	s.fault, s.asked, s.served = fault, 0, 0
	s.mu.Unlock()
	step()
	testwait.Return(s.t, "the answers to be counted", s.answering.Wait)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.served
}

// answering is a fault that answers with another body.
func answering(body []byte) func(http.ResponseWriter, *http.Request, int, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int, _ []byte) bool {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		return true
	}
}

// cutting is a fault that ends each answer after so many bytes.
func cutting(after func() int) func(http.ResponseWriter, *http.Request, int, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int, content []byte) bool {
		http.ServeContent(&short{w, after()}, r, "", time.Time{}, bytes.NewReader(content))
		return true
	}
}

type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) > s.left {
		_, _ = s.ResponseWriter.Write(p[:s.left])
		s.ResponseWriter.(*counting).ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	s.left -= len(p)
	return s.ResponseWriter.Write(p)
}

// diskFile is a file of a disk image.
type diskFile struct {
	title, partition string
	compression      string
	tar              bool   // the content is one
	format           string // of the whole artifact; "" is raw
	kind             string // of the file; "" is raw
	content          []byte
	stored           []byte // nil: the content, compressed
	stated           int64  // decompressed-size; 0 is its own, -1 is none
}

// diskWorld is a world with a catalog, and a storage in front of its registry.
type diskWorld struct {
	*world
	storage *storage
	catalog *catalog.Catalog
}

func newDiskWorld(t testing.TB) *diskWorld {
	t.Helper()
	s := &storage{t: t, blobs: map[string][]byte{}}
	w := newWorld(t, true, func(next http.Handler) http.Handler { s.next = next; return s })
	return &diskWorld{w, s, w.open(catalog.Options{})}
}

// publishDisk publishes a disk image as the entry of a name.
func (w *diskWorld) publishDisk(name string, files ...diskFile) {
	w.t.Helper()
	const prefix = "automotive.sdv.cloud.redhat.com/"
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.automotive.disk.raw", Config: ocispec.DescriptorEmptyJSON,
	}
	to, err := w.client.Open(parse(w.t, w.host+"/os/"+name))
	if err != nil {
		w.t.Fatal(err)
	}
	push := func(d ocispec.Descriptor, content []byte) {
		if err := to.PushBlob(w.t.Context(), d, content); err != nil {
			w.t.Fatal(err)
		}
	}
	push(ocispec.DescriptorEmptyJSON, []byte("{}"))
	for _, f := range files {
		stored := f.stored
		if stored == nil {
			stored = testcompress.Bytes(w.t, f.compression, f.content)
		}
		d := ocispec.Descriptor{MediaType: "application/vnd.automotive.disk." + cmp.Or(f.kind, "raw"), Digest: digest.FromBytes(stored), Size: int64(len(stored)), Annotations: map[string]string{}}
		if f.format != "" {
			manifest.ArtifactType = "application/vnd.automotive.disk." + f.format
		}
		if f.tar {
			d.MediaType = "application/vnd.oci.image.layer.v1.tar"
		}
		if f.compression != "" {
			d.MediaType += "+" + f.compression
		}
		for key, value := range map[string]string{ocispec.AnnotationTitle: f.title, prefix + "partition": f.partition} {
			if value != "" {
				d.Annotations[key] = value
			}
		}
		switch {
		case f.stated > 0:
			d.Annotations[prefix+"decompressed-size"] = fmt.Sprint(f.stated)
		case f.stated == 0:
			d.Annotations[prefix+"decompressed-size"] = fmt.Sprint(len(f.content))
		}
		push(ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, stored)
		manifest.Layers = append(manifest.Layers, d)
		w.storage.mu.Lock()
		w.storage.blobs[d.Digest.String()] = stored
		w.storage.mu.Unlock()
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		w.t.Fatal(err)
	}
	d := ocispec.Descriptor{MediaType: manifest.MediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if err := to.PushManifest(w.t.Context(), d, text, "1"); err != nil {
		w.t.Fatal(err)
	}
	w.publish(w.catalog, w.host+"/os/"+name+":1", catalog.PublishOptions{Name: name})
}

// noise is content that no compression makes shorter.
func noise(seed byte, size int) []byte {
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{seed})
	_, _ = source.Read(content) // never fails
	return content
}

// filesIn is what is in a directory, by name.
func filesIn(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = text
	}
	return found
}
