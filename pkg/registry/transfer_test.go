package registry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestWriteAndRead(t *testing.T) {
	repository := open(t, inProcess(t, true), quick())
	ctx := t.Context()
	d, manifest := manifestOf(t, "m", nil)
	blob := describe("application/x", []byte("blob"))
	for range 2 { // writing what is there succeeds
		if err := repository.PushBlob(ctx, blob, []byte("blob")); err != nil {
			t.Fatal(err)
		}
		if err := repository.PushBlob(ctx, ocispec.DescriptorEmptyJSON, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := repository.PushManifest(ctx, d, manifest, "t1"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := repository.Blob(ctx, blob); err != nil || string(got) != "blob" {
		t.Errorf("%q, %v", got, err)
	}
	for _, reference := range []string{"t1", d.Digest.String()} {
		resolved, err := repository.Resolve(ctx, reference)
		if diff := cmp.Diff(d, resolved); err != nil || diff != "" {
			t.Errorf("resolve %s: %v\n%s", reference, err, diff)
		}
		fetched, body, err := repository.Manifest(ctx, reference)
		if diff := cmp.Diff([]any{d, manifest}, []any{fetched, body}); err != nil || diff != "" {
			t.Errorf("fetch %s: %v\n%s", reference, err, diff)
		}
	}
	if tags, err := repository.Tags(ctx); err != nil || cmp.Diff([]string{"t1"}, tags) != "" {
		t.Errorf("%v, %v", tags, err)
	}
	if _, err := repository.Resolve(ctx, "t2"); kind(err) != "not found" {
		t.Errorf("a tag that is not there: %v", err)
	}
	if _, err := repository.Blob(ctx, describe("application/x", []byte("no"))); kind(err) != "not found" {
		t.Errorf("a blob that is not there: %v", err)
	}
}

// Some registries answer HEAD without a digest; then the manifest tells.
func TestResolveWithoutADigestHeader(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", d.MediaType)
		w.Header().Set("Content-Length", fmt.Sprint(len(manifest)))
		if r.Method == http.MethodGet {
			w.Write(manifest)
		}
	})
	got, err := open(t, s.host, quick()).Resolve(t.Context(), "t")
	if diff := cmp.Diff(d, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAlteredBlobs(t *testing.T) {
	want := "the right blob"
	d := describe("application/x", []byte(want))
	for _, tt := range []struct {
		name string
		bad  http.HandlerFunc
	}{
		{"altered", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the wrong blob") }},
		{"too short", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "short") }},
		{"too long", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, want+"!") }},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(want)))
			io.WriteString(w, want[:3])
			abort(w)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s *script
			s = serve(t, func(w http.ResponseWriter, r *http.Request) {
				if len(s.requests()) < blobAttempts {
					tt.bad(w, r)
					return
				}
				io.WriteString(w, want)
			})
			if got, err := open(t, s.host, quick()).Blob(t.Context(), d); err != nil || string(got) != want {
				t.Errorf("the last attempt is good: %q, %v", got, err)
			}
			never := serve(t, tt.bad)
			if got, err := open(t, never.host, quick()).Blob(t.Context(), d); kind(err) != "unreachable" || got != nil || len(never.requests()) != blobAttempts {
				t.Errorf("no attempt is good: %q, %v after %v", got, err, never.requests())
			}
		})
	}
}

func TestMissingBlobsAreAskedForOnce(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "application/json", `{}`) })
	if _, err := open(t, s.host, quick()).Blob(t.Context(), describe("application/x", []byte("blob"))); kind(err) != "not found" || len(s.requests()) != 1 {
		t.Errorf("%v after %v", err, s.requests())
	}
}

func TestBlobsAreBounded(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	repository := open(t, s.host, quick())
	for _, size := range []int64{maxBlob + 1, 1 << 62} {
		if _, err := repository.Blob(t.Context(), ocispec.Descriptor{Digest: sha256sum, Size: size}); kind(err) != "unreachable" || len(s.requests()) != 0 {
			t.Errorf("%d bytes: %v after %v", size, err, s.requests())
		}
	}
	if _, err := repository.Blob(t.Context(), ocispec.Descriptor{Digest: sha256sum, Size: -1}); err == nil {
		t.Error("a blob of -1 bytes is read")
	}
}

// A repeated upload whose first answer was lost finds its session gone: it
// begins a new one.
func TestUploadBeginsAnew(t *testing.T) {
	const content = "blob"
	d := describe("application/x", []byte(content))
	sessions, stored := 0, 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			sessions++
			w.Header().Set("Location", fmt.Sprintf("/v2/team/image/blobs/uploads/%d?state=x", sessions))
			w.WriteHeader(http.StatusAccepted)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != content || r.URL.Query().Get("digest") != d.Digest.String() || r.URL.Query().Get("state") != "x" {
			t.Errorf("%s %s with %q: %v", r.Method, r.URL, body, err)
		}
		if sessions == 1 {
			answer(w, 404, "application/json", `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`)
			return
		}
		stored++
		w.WriteHeader(http.StatusCreated)
	})
	if err := open(t, s.host, quick()).PushBlob(t.Context(), d, []byte(content)); err != nil || sessions != 2 || stored != 1 {
		t.Errorf("%v after %d sessions, stored %d times", err, sessions, stored)
	}
}

func TestUploadEnds(t *testing.T) {
	d := describe("application/x", []byte("blob"))
	for status, want := range map[int]string{404: "not found", 403: "unauthorized", 413: "malformed", 500: "unreachable"} {
		posts := 0
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				posts++
				w.Header().Set("Location", "/v2/team/image/blobs/uploads/1")
				w.WriteHeader(http.StatusAccepted)
				return
			}
			answer(w, status, "application/json", `{}`)
		})
		err := open(t, s.host, quick()).PushBlob(t.Context(), d, []byte("blob"))
		if kind(err) != want || posts > blobAttempts {
			t.Errorf("%d: %v after %d sessions", status, err, posts)
		}
	}
}

// The empty configuration is looked for before it is sent.
func TestEmptyConfigurationIsNotSentTwice(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		if r.Method != http.MethodHead {
			answer(w, 500, "application/json", "{}")
		}
	})
	empty := ocispec.DescriptorEmptyJSON
	if err := open(t, s.host, quick()).PushBlob(t.Context(), empty, empty.Data); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"HEAD /v2/team/image/blobs/" + empty.Digest.String()}, s.requests()); diff != "" {
		t.Error(diff)
	}
}

// A registry may not know yet a blob that another client pushes right now.
func TestManifestWaitsForItsBlobs(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	for _, tt := range []struct {
		code  string
		tries int
		want  string
	}{{"MANIFEST_BLOB_UNKNOWN", 2, ""}, {"BLOB_UNKNOWN", 2, ""}, {"MANIFEST_INVALID", 1, "malformed"}} {
		var s *script
		s = serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if len(s.requests()) < 2 {
				answer(w, 400, "application/json", `{"errors":[{"code":"`+tt.code+`"}]}`)
				return
			}
			w.WriteHeader(http.StatusCreated)
		})
		err := open(t, s.host, quick()).PushManifest(t.Context(), d, manifest, "t")
		if kind(err) != tt.want || len(s.requests()) != tt.tries {
			t.Errorf("%s: %v after %v", tt.code, err, s.requests())
		}
	}
}

// What is pushed must be what its descriptor says.
func TestPushChecksTheDescriptor(t *testing.T) {
	repository := open(t, inProcess(t, true), quick())
	wrong := ocispec.Descriptor{MediaType: "application/x", Digest: digest.FromString("other"), Size: 4}
	if err := repository.PushBlob(t.Context(), wrong, []byte("blob")); err == nil {
		t.Error("a blob is pushed under another's digest")
	}
	short := describe("application/x", []byte("blob"))
	short.Size = 3
	if err := repository.PushBlob(t.Context(), short, []byte("blob")); err == nil {
		t.Error("a blob is pushed with another size")
	}
}

func TestReadsLargeManifests(t *testing.T) {
	repository := open(t, inProcess(t, true), quick())
	_, manifest := manifestOf(t, strings.Repeat("x", maxManifest-1000), nil)
	d := describe(ocispec.MediaTypeImageManifest, manifest)
	if err := repository.PushBlob(t.Context(), ocispec.DescriptorEmptyJSON, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := repository.PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Fatal(err)
	}
	if _, body, err := repository.Manifest(t.Context(), "t"); err != nil || len(body) != len(manifest) {
		t.Errorf("%d bytes of %d, %v", len(body), len(manifest), err)
	}
}
