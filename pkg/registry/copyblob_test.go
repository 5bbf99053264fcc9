package registry

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// noise is content that is streamed.
func noise(size int) []byte {
	blob := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(blob)
	return blob
}

const streamed = 3*maxHeld + 17

// A blob gets from each kind of repository into each, whatever its size, and is not
// moved again.
func TestCopyBlob(t *testing.T) {
	for _, size := range []int{0, 1, maxHeld, maxHeld + 1, streamed} {
		blob := noise(size)
		d := describe("application/x", blob)
		for name, into := range map[string]func() Repository{
			"registry": func() Repository { return open(t, newDepot(t).host, quick()) },
			"layout":   func() Repository { return newLayout(filepath.Join(t.TempDir(), "layout")) },
		} {
			source, to, again := newDepot(t), into(), into()
			source.put("team/image", blob)
			from := open(t, source.host, quick())
			for _, want := range []int{size, 0} {
				if moved, err := to.CopyBlob(t.Context(), d, from); err != nil || moved != int64(want) {
					t.Errorf("%d bytes to a %s: got %d moved, %v, want %d", size, name, moved, err, want)
				}
			}
			if moved, err := again.CopyBlob(t.Context(), d, to); err != nil || moved != int64(size) {
				t.Errorf("%d bytes from a %s: got %d moved, %v", size, name, moved, err)
			}
			if text, _, err := readFrom(t, again, d, 0); err != nil || text != string(blob) {
				t.Errorf("%d bytes over a %s: got %d, %v, want the same", size, name, len(text), err)
			}
		}
	}
}

func TestCopyBlobRefuses(t *testing.T) {
	source := newDepot(t)
	from := open(t, source.host, quick())
	blob := describe("application/x", []byte("blob"))
	dir := filepath.Join(t.TempDir(), "layout")
	for name, to := range map[string]Repository{"registry": open(t, newDepot(t).host, quick()), "layout": newLayout(dir)} {
		if _, err := to.CopyBlob(t.Context(), blob, from); kind(err) != "not found" {
			t.Errorf("%s: a blob that is not there: %v", name, err)
		}
		for _, bad := range []ocispec.Descriptor{{Digest: "sha256:../x"}, {Digest: blob.Digest, Size: -1}} {
			if _, err := to.CopyBlob(t.Context(), bad, from); kind(err) != "invalid" {
				t.Errorf("%s: %v of %d bytes: %v", name, bad.Digest, bad.Size, err)
			}
		}
	}
}

// altering serves blobs with a bit of the last byte turned.
func altering(blob []byte) func(http.ResponseWriter, *http.Request, int) bool {
	altered := bytes.Clone(blob)
	altered[len(altered)-1] ^= 1
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		http.ServeContent(w, r, "", zeroTime, bytes.NewReader(altered))
		return true
	}
}

// Of bytes that are not those of the digest, nothing is stored.
func TestCopyBlobAltered(t *testing.T) {
	for _, size := range []int{100, streamed} {
		blob := noise(size)
		d := describe("application/x", blob)
		source, depot := newDepot(t), newDepot(t)
		source.quirk = altering(blob)
		from := open(t, source.host, quick())
		if _, err := open(t, depot.host, quick()).CopyBlob(t.Context(), d, from); kind(err) != "malformed" {
			t.Errorf("%d bytes to a registry: got %v, want a malformed one", size, err)
		}
		if depot.has("team/image", d.Digest) || depot.received() >= int64(size) {
			t.Errorf("%d bytes to a registry: %d came, want less, and that none are stored", size, depot.received())
		}
		dir := filepath.Join(t.TempDir(), "layout")
		if _, err := newLayout(dir).CopyBlob(t.Context(), d, from); kind(err) != "malformed" {
			t.Errorf("%d bytes to a layout: got %v, want a malformed one", size, err)
		}
		if files, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256")); err != nil || len(files) != 0 {
			t.Errorf("%d bytes to a layout: got %d files, %v, want none", size, len(files), err)
		}
	}
}

// A source that breaks off is gone on with where it broke, in the same upload.
func TestCopyBlobResumes(t *testing.T) {
	blob := noise(streamed)
	source, depot := newDepot(t), newDepot(t)
	source.put("team/image", blob)
	var ranges []string
	source.quirk = func(w http.ResponseWriter, r *http.Request, nth int) bool {
		ranges = append(ranges, r.Header.Get("Range"))
		if nth > 1 {
			return false
		}
		w.Header().Set("Content-Length", "3145745")
		w.Write(blob[:maxHeld])
		abort(w)
		return true
	}
	moved, err := open(t, depot.host, quick()).CopyBlob(t.Context(), describe("application/x", blob), open(t, source.host, quick()))
	if err != nil || moved != streamed || depot.requests() != "HEAD POST PUT" || len(ranges) != 2 || ranges[1] == "" {
		t.Errorf("got %d moved, %v, ranges %q; want one upload that went on", moved, err, ranges)
	}
}

// breaking does with the first uploads what a test wants.
func breaking(times int, then http.HandlerFunc) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPut || times == 0 {
			return false
		}
		times--
		then(w, r)
		return true
	}
}

// An upload that the registry breaks off, or whose session it has lost, is begun anew;
// what it refuses is not.
func TestCopyBlobBeginsAnew(t *testing.T) {
	blob := noise(streamed)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
		}
	}
	cut := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, maxHeld)
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name  string
		times int
		then  http.HandlerFunc
		want  string
		puts  int
	}{
		{"cut once", 1, cut, "", 2},
		{"cut always", 99, cut, "unreachable", copyAttempts},
		{"session lost", 2, status(404), "", 3},
		{"session at another offset", 1, status(416), "", 2},
		{"breaks down", 1, status(500), "", 2},
		{"throttled", 1, status(429), "", 2},
		{"forbidden", 99, status(403), "unauthorized", 1},
		{"too large", 99, status(413), "malformed", 1},
		{"not implemented", 99, status(501), "unauthorized", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, depot := newDepot(t), newDepot(t)
			source.put("team/image", blob)
			depot.quirk = breaking(tt.times, tt.then)
			d := describe("application/x", blob)
			_, err := open(t, depot.host, quick()).CopyBlob(t.Context(), d, open(t, source.host, quick()))
			puts := 0
			for _, method := range bytes.Fields([]byte(depot.requests())) {
				if string(method) == http.MethodPut {
					puts++
				}
			}
			if kind(err) != tt.want || puts != tt.puts || depot.has("team/image", d.Digest) != (tt.want == "") {
				t.Errorf("got %v after %d uploads, want %q after %d", err, puts, tt.want, tt.puts)
			}
		})
	}
}

// A registry that answers before it has taken all of a blob is believed if it has it.
func TestCopyBlobAnsweredEarly(t *testing.T) {
	blob := noise(8 << 20)
	d := describe("application/x", blob)
	for _, has := range []bool{true, false} {
		source, depot := newDepot(t), newDepot(t)
		source.put("team/image", blob)
		depot.quirk = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method != http.MethodPut {
				return false
			}
			if has {
				depot.put("team/image", blob)
			}
			w.WriteHeader(http.StatusCreated)
			return true
		}
		want := map[bool]string{true: "", false: "unreachable"}[has]
		if _, err := open(t, depot.host, quick()).CopyBlob(t.Context(), d, open(t, source.host, quick())); kind(err) != want {
			t.Errorf("has it %v: got %v, want %q", has, err, want)
		}
	}
}

// What one place of a mirrored image sends altered, the next one is asked for.
func TestCopyBlobAsksOtherPlaces(t *testing.T) {
	for _, size := range []int{100, streamed} {
		blob := noise(size)
		altered := altering(blob)
		bad := serve(t, func(w http.ResponseWriter, r *http.Request) { altered(w, r, 0) })
		origin := newDepot(t)
		origin.put("team/image", blob)
		for name, to := range map[string]Repository{"registry": open(t, newDepot(t).host, quick()), "layout": newLayout(t.TempDir())} {
			from, _ := mirroredBy(t, quick(), bad.host, origin.host)
			if moved, err := to.CopyBlob(t.Context(), describe("application/x", blob), from); err != nil || moved != int64(size) {
				t.Errorf("%d bytes to a %s: got %d moved, %v", size, name, moved, err)
			}
		}
	}
}

// An upload whose answer is lost is not sent again.
func TestCopyBlobAnswerLost(t *testing.T) {
	blob := noise(streamed)
	source, depot := newDepot(t), newDepot(t)
	source.put("team/image", blob)
	depot.quirk = breaking(1, func(w http.ResponseWriter, r *http.Request) {
		depot.store(httptest.NewRecorder(), r, "team/image")
		panic(http.ErrAbortHandler)
	})
	moved, err := open(t, depot.host, quick()).CopyBlob(t.Context(), describe("application/x", blob), open(t, source.host, quick()))
	if err != nil || moved != streamed || depot.received() != streamed {
		t.Errorf("got %d moved in %d bytes, %v, want %d in as many", moved, depot.received(), err, streamed)
	}
}

// zeros are the bytes of a blob that is nowhere.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// A large blob is never held in memory: neither where it is read nor where it is
// written is more than a few pieces of it allocated.
func TestCopyBlobMemory(t *testing.T) {
	const most = 16 << 20
	var size int64
	whole := func() *io.SectionReader { return io.NewSectionReader(zeros{}, 0, size) }
	source := serve(t, func(w http.ResponseWriter, r *http.Request) { http.ServeContent(w, r, "", zeroTime, whole()) })
	depot := newDepot(t)
	var came int64
	depot.quirk = breaking(1, func(w http.ResponseWriter, r *http.Request) {
		came, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
		w.WriteHeader(http.StatusCreated)
	})
	for to, megabytes := range map[Repository]int64{open(t, depot.host, quick()): 200, newLayout(t.TempDir()): 40} {
		size = megabytes << 20
		sum, err := digest.FromReader(whole())
		if err != nil {
			t.Fatal(err)
		}
		d := ocispec.Descriptor{MediaType: "application/x", Digest: sum, Size: size}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		moved, err := to.CopyBlob(t.Context(), d, open(t, source.host, quick()))
		runtime.ReadMemStats(&after)
		if err != nil || moved != size {
			t.Errorf("%T: got %d moved, %v", to, moved, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%T: %d bytes were allocated, want at most %d", to, got, most)
		}
	}
	if came != 200<<20 {
		t.Errorf("got %d bytes sent, want all", came)
	}
}

// The last byte is for bytes that are right alone.
func TestBlobStreamWithholdsTheLastByte(t *testing.T) {
	blob := noise(streamed)
	source := newDepot(t)
	source.quirk = altering(blob)
	stream := &blobStream{ctx: t.Context(), from: open(t, source.host, quick()), descriptor: describe("application/x", blob)}
	body, err := stream.body()
	if err != nil {
		t.Fatal(err)
	}
	sent, err := io.ReadAll(body)
	whole, broken := stream.end()
	if len(sent) != streamed-1 || kind(err) != "malformed" || kind(broken) != "malformed" || whole {
		t.Errorf("got %d bytes, %v, whole %v, broken by %v; want %d and a malformed one", len(sent), err, whole, broken, streamed-1)
	}
}
