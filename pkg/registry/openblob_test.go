package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// readFrom opens a blob and reads it to its end.
func readFrom(t *testing.T, repository Repository, d ocispec.Descriptor, offset int64) (text string, from int64, err error) {
	t.Helper()
	content, from, err := repository.OpenBlob(t.Context(), d, offset)
	if err != nil {
		return "", 0, err
	}
	defer content.Close()
	all, err := io.ReadAll(content)
	return string(all), from, err
}

func TestOpenBlob(t *testing.T) {
	for name, repository := range map[string]Repository{
		"registry": open(t, inProcess(t, true), quick()), "layout": newLayout(filepath.Join(t.TempDir(), "layout")),
	} {
		blob := describe("application/x", []byte("the blob"))
		if _, _, err := readFrom(t, repository, blob, 0); kind(err) != "not found" {
			t.Errorf("%s: a blob that is not there: %v", name, err)
		}
		if err := repository.PushBlob(t.Context(), blob, []byte("the blob")); err != nil {
			t.Fatal(err)
		}
		for _, offset := range []int64{0, 4, 7} {
			if text, from, err := readFrom(t, repository, blob, offset); text != "the blob"[from:] || from != 0 && from != offset || err != nil {
				t.Errorf("%s, from %d: got %q from %d, %v", name, offset, text, from, err)
			}
		}
		for _, offset := range []int64{-1, 9} {
			if _, _, err := readFrom(t, repository, blob, offset); kind(err) != "invalid" {
				t.Errorf("%s, from %d: %v", name, offset, err)
			}
		}
		if _, _, err := readFrom(t, repository, ocispec.Descriptor{Digest: "sha256:../x", Size: 4}, 0); kind(err) != "invalid" {
			t.Errorf("%s: a digest that is none: %v", name, err)
		}
		longer := blob
		longer.Size = 9
		if _, _, err := readFrom(t, repository, longer, 0); kind(err) != "malformed" {
			t.Errorf("%s: a descriptor of another size: %v", name, err)
		}
	}
}

// ranged is how a registry, or what is in front of it, answers when a part is asked
// for, and the bytes, or the kind of the error, that follow.
type ranged struct {
	answer http.HandlerFunc
	want   string
	from   int64
}

func waysToAnswerForAPart(content string) map[string]ranged {
	part := func(contentRange, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, body)
		}
	}
	unlessRanged := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(status)
				return
			}
			io.WriteString(w, content)
		}
	}
	whole := func(status int, mediaType, encoding, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			answer(w, status, mediaType, body)
		}
	}
	return map[string]ranged{
		"the part":                 {part("bytes 4-9/10", "456789"), "456789", 4},
		"a shorter part":           {part("bytes 4-5/10", "45"), "45", 4},
		"an unknown size":          {part("bytes 4-9/*", "456789"), "456789", 4},
		"all of it":                {whole(http.StatusOK, "application/x", "", content), content, 0},
		"ranges are forbidden":     {unlessRanged(http.StatusRequestedRangeNotSatisfiable), content, 0},
		"ranges are unknown":       {unlessRanged(http.StatusNotImplemented), content, 0},
		"another part":             {part("bytes 3-9/10", "3456789"), "unreachable", 0},
		"no part":                  {part("", "456789"), "unreachable", 0},
		"of another blob":          {part("bytes 4-10/11", "456789x"), "malformed", 0},
		"another blob":             {whole(http.StatusOK, "application/x", "", content+"x"), "malformed", 0},
		"a page":                   {whole(http.StatusOK, "text/html", "", "<html>sign in</html>"), "unreachable", 0},
		"an error with status 200": {whole(http.StatusOK, "application/json", "", `{"error":"later"}`), "unreachable", 0},
		"packed":                   {whole(http.StatusOK, "application/x", "gzip", content), "unreachable", 0},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 4-9/10")
			cutWith(w, http.StatusPartialContent, "application/x", "45")
		}, "unreachable", 0},
		"absent":    {whole(http.StatusNotFound, "application/x", "", ""), "not found", 0},
		"forbidden": {whole(http.StatusForbidden, "application/x", "", ""), "unauthorized", 0},
	}
}

func TestOpenBlobFromAnOffset(t *testing.T) {
	const content = "0123456789"
	blob := describe("application/x", []byte(content))
	for name, tt := range waysToAnswerForAPart(content) {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != "identity" {
					t.Errorf("asks for the encoding %q", got)
				}
				tt.answer(w, r)
			})
			text, from, err := readFrom(t, open(t, s.host, quick()), blob, 4)
			if err != nil {
				text = kind(err)
			}
			if text != tt.want || from != tt.from && err == nil {
				t.Errorf("got %q from %d, %v, want %q from %d", text, from, err, tt.want, tt.from)
			}
		})
	}
}

// A storage's addresses expire: what was redirected to once is asked for at the
// registry again, and the storage is sent no login.
func TestOpenBlobAsksTheRegistry(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10)
	blob := describe("application/x", content)
	used := map[string]bool{}
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if used[r.URL.RawQuery] || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		used[r.URL.RawQuery] = true
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	redirected := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redirected++
		http.Redirect(w, r, "http://"+storage.host+"/blob?signed="+strconv.Itoa(redirected), http.StatusTemporaryRedirect)
	}))
	defer registry.Close()
	repository := open(t, strings.TrimPrefix(registry.URL, "http://"), quick())
	for offset := range int64(3) {
		text, from, err := readFrom(t, repository, blob, offset)
		if err != nil || from != offset || text != string(content[offset:]) {
			t.Errorf("from %d: got %d bytes from %d, %v", offset, len(text), from, err)
		}
	}
	if fmt.Sprint(redirected, len(used)) != "3 3" {
		t.Errorf("%d redirects to %d addresses, want 3 to 3", redirected, len(used))
	}
}
