package registry

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestStatBlob(t *testing.T) {
	layout := newLayout(filepath.Join(t.TempDir(), "layout"))
	for name, repository := range map[string]Repository{"registry": open(t, inProcess(t, true), quick()), "layout": layout} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			blob := describe("application/x", []byte("blob"))
			if err := repository.StatBlob(ctx, blob); kind(err) != "not found" {
				t.Errorf("a blob that is not there: %v", err)
			}
			if err := repository.PushBlob(ctx, blob, []byte("blob")); err != nil {
				t.Fatal(err)
			}
			if err := repository.StatBlob(ctx, blob); err != nil {
				t.Error(err)
			}
			lie := blob
			lie.Size = 1 << 40
			if err := repository.StatBlob(ctx, lie); kind(err) != "malformed" || !strings.Contains(err.Error(), "4 bytes, where its manifest says 1099511627776") {
				t.Errorf("another size: %v", err)
			}
			if err := repository.StatBlob(ctx, ocispec.Descriptor{Digest: "sha256:../x", Size: 4}); kind(err) == "" {
				t.Error("a digest that is none is found")
			}
		})
	}
}

// That a registry could not be asked says nothing about the blob, and a byte of
// its content is what is asked for, unless that might be why it was refused.
func TestStatBlobOnlyLooks(t *testing.T) {
	blob := describe("application/x", []byte("blob"))
	for status, want := range map[int]string{401: "unauthorized", 403: "unauthorized", 429: "unreachable", 500: "unreachable", 404: "not found"} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.Header.Get("Range") != "bytes=0-0" && (status == 429 || status == 500) {
				t.Errorf("%d: all of the blob is asked for", status)
			}
			w.WriteHeader(status)
		})
		if err := open(t, s.host, quick()).StatBlob(t.Context(), blob); kind(err) != want {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}

// blobAnswers is how a registry answers HEAD, a range, and a plain GET, and what
// kind of error follows.
type blobAnswers struct {
	head, ranged, plain func(http.ResponseWriter)
	want                string
}

func waysToAnswerForABlob(content []byte) map[string]blobAnswers {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	writer.Write(content)
	writer.Close()
	whole := func(w http.ResponseWriter) { w.Write(content) }
	refusing := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status) }
	}
	part := func(status int, contentRange string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(status)
			w.Write(content[:1])
		}
	}
	encoded := func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(packed.Len()))
		w.Write(packed.Bytes())
	}
	object := func(text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { answer(w, 200, "application/json", text) }
	}
	chunked := func(w http.ResponseWriter) {
		w.Header().Set("Transfer-Encoding", "chunked")
		answer(w, 200, "application/json", `{"errors":[{"code":"DENIED"}]}`)
	}
	total := fmt.Sprintf("bytes 0-0/%d", len(content))
	return map[string]blobAnswers{
		"an encoding that nobody asked for":   {encoded, encoded, encoded, ""},
		"an encoding of HEAD":                 {encoded, part(206, total), refusing(500), ""},
		"an encoding of ranges":               {refusing(403), encoded, whole, ""},
		"a part with status 200":              {refusing(403), part(200, total), whole, ""},
		"a part with status 200, always":      {refusing(403), part(200, total), part(200, total), ""},
		"a part of one byte":                  {refusing(405), part(206, "bytes 0-0/1"), whole, ""},
		"a part of nothing":                   {refusing(405), part(206, ""), whole, ""},
		"ranges are 400":                      {refusing(405), refusing(400), whole, ""},
		"ranges are 401":                      {refusing(405), refusing(401), whole, ""},
		"ranges are 403":                      {refusing(403), refusing(403), whole, ""},
		"ranges are 404":                      {refusing(404), refusing(404), whole, ""},
		"ranges are 416":                      {refusing(405), refusing(416), whole, ""},
		"ranges are 501":                      {refusing(405), refusing(501), whole, ""},
		"an error with status 200":            {refusing(405), object(`{"errors":[{"code":"DENIED"}]}`), object(`{"errors":[{"code":"DENIED"}]}`), "unreachable"},
		"an error of no length":               {chunked, chunked, chunked, "unreachable"},
		"other words with status 200":         {object(`{}`), object(`{"message":"ok"}`), object(`{"message":"ok"}`), "unreachable"},
		"another blob, whatever its type":     {refusing(405), object("layer"), object("layer"), "malformed"},
		"another blob, after a part of it":    {refusing(405), part(206, "bytes 0-0/1"), object("layer"), "malformed"},
		"absent":                              {refusing(404), refusing(404), refusing(404), "not found"},
		"forbidden":                           {refusing(403), refusing(403), refusing(403), "unauthorized"},
		"ranges are 404, and plain is broken": {refusing(404), refusing(404), refusing(500), "unreachable"},
	}
}

// Whatever a registry, or a cache before it, makes of HEAD and of ranges, an
// image is accused by a plain GET alone.
func TestOnlyPlainGetAccuses(t *testing.T) {
	content := bytes.Repeat([]byte("layer"), 1000)
	blob := describe("application/x", content)
	for name, tt := range waysToAnswerForABlob(content) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodHead:
				tt.head(w)
			case r.Header.Get("Range") != "":
				tt.ranged(w)
			default:
				tt.plain(w)
			}
		})
		if err := open(t, s.host, quick()).StatBlob(t.Context(), blob); kind(err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// A manifest that lies about the size of a JSON file is told from a registry
// that answers in JSON.
func TestStatBlobOfJSON(t *testing.T) {
	text := `{"spdxVersion":"SPDX-2.3"}`
	blob := describe("application/spdx+json", []byte(text))
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", text) })
	repository := open(t, s.host, quick())
	if err := repository.StatBlob(t.Context(), blob); err != nil {
		t.Error(err)
	}
	blob.Size++
	if err := repository.StatBlob(t.Context(), blob); kind(err) != "malformed" {
		t.Errorf("a size that is a lie: %v, want malformed", err)
	}
}
