package registry

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// everything asks a repository for all that can be asked, and returns what
// kind of error each gives.
func everything(t *testing.T, repository Repository) map[string]error {
	t.Helper()
	ctx := t.Context()
	manifest, body := manifestOf(t, "m", nil)
	subject := describe(ocispec.MediaTypeImageManifest, []byte("{}"))
	blob := describe("application/x", []byte("blob"))
	errs := map[string]error{}
	_, errs["tags"] = repository.Tags(ctx)
	_, errs["resolve"] = repository.Resolve(ctx, "t")
	_, _, errs["manifest"] = repository.Manifest(ctx, "t")
	_, errs["blob"] = repository.Blob(ctx, blob)
	errs["push blob"] = repository.PushBlob(ctx, blob, []byte("blob"))
	errs["push manifest"] = repository.PushManifest(ctx, manifest, body, "t")
	_, errs["referrers"] = repository.Referrers(ctx, subject)
	errs["push referrer"] = repository.PushReferrer(ctx, manifest, body, subject)
	return errs
}

func TestStatusesHaveKinds(t *testing.T) {
	for _, tt := range []struct {
		status      int
		read, write string
	}{
		{400, "unreachable", "malformed"}, {401, "unauthorized", "unauthorized"}, {403, "unauthorized", "unauthorized"},
		{405, "unreachable", "unauthorized"}, {408, "unreachable", "unreachable"}, {413, "unreachable", "malformed"},
		{429, "unreachable", "unreachable"}, {500, "unreachable", "unreachable"}, {501, "unreachable", "unauthorized"},
		{502, "unreachable", "unreachable"}, {503, "unreachable", "unreachable"}, {504, "unreachable", "unreachable"},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, tt.status, "application/json", `{"errors":[{"code":"SOME_CODE","message":"the registry's words"}]}`)
		})
		for operation, err := range everything(t, open(t, s.host, quick())) {
			want := tt.read
			if operation == "push blob" || operation == "push manifest" {
				want = tt.write
			}
			if kind(err) != want {
				t.Errorf("%d: %s: %v; want %s", tt.status, operation, err, want)
			}
			if !strings.Contains(err.Error(), s.host+"/team/image") {
				t.Errorf("%d: %s: the error does not say what was asked: %v", tt.status, operation, err)
			}
		}
	}
}

func TestNotFound(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
	})
	got := map[string]string{}
	for operation, err := range everything(t, open(t, s.host, quick())) {
		got[operation] = kind(err)
	}
	want := map[string]string{
		"tags": "", "resolve": "not found", "manifest": "not found", "blob": "not found", "push blob": "not found",
		"push manifest": "not found", "referrers": "not found", "push referrer": "not found",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNobodyAnswers(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for operation, err := range everything(t, open(t, s.host, quick())) {
		if kind(err) != "unreachable" {
			t.Errorf("a broken connection: %s: %v", operation, err)
		}
	}
	// Port 1 is reserved and nothing listens there.
	for operation, err := range everything(t, open(t, "127.0.0.1:1", quick())) {
		if kind(err) != "unreachable" || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "http://") {
			t.Errorf("a refused connection: %s: %v", operation, err)
		}
	}
}

// Queries hold tokens and signatures: of blob storage behind a redirect, of a
// page's link. No error shows one.
func TestErrorsShowNoQuery(t *testing.T) {
	const secret = "X-Signature=s3cr3t"
	storage := map[string]http.HandlerFunc{
		"refuses": func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, "application/xml", "<Error/>") },
		"fails":   func(w http.ResponseWriter, _ *http.Request) { answer(w, 500, "text/plain", "oops") },
		"breaks":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"has another one": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, "application/octet-stream", "longer than four")
		},
		"redirects for ever": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?"+secret, http.StatusTemporaryRedirect)
		},
	}
	for name, handler := range storage {
		behind := serve(t, handler)
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+behind.host+"/bucket/blob?"+secret, http.StatusTemporaryRedirect)
		})
		_, err := open(t, s.host, quick()).Blob(t.Context(), describe("application/x", []byte("blob")))
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || len(behind.requests()) == 0 {
			t.Errorf("storage that %s: %v after %v", name, err, behind.requests())
		}
	}
	for name, link := range map[string]string{
		"to another host": "<http://other.example.com/v2/team/image/tags/list?" + secret + `>; rel="next"`,
		"that is broken":  "/v2/team/image/tags/list?" + secret,
		"to nobody":       "<http://%zz/?" + secret + ">",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", link)
			answer(w, 200, "application/json", `{"tags":["a"]}`)
		})
		_, err := open(t, s.host, quick()).Tags(t.Context())
		if kind(err) != "unreachable" || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("a link %s: %v", name, err)
		}
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			w.Header().Set("Link", "<?"+secret+`>; rel="next"`)
			answer(w, 200, "application/json", `{"tags":["a"]}`)
			return
		}
		answer(w, 403, "application/json", `{}`)
	})
	if _, err := open(t, s.host, quick()).Tags(t.Context()); kind(err) != "unauthorized" || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("the second page refused: %v", err)
	}
}

// A registry's words reach the terminal as text.
func TestErrorsArePrintable(t *testing.T) {
	long := strings.Repeat("ä", 1500)
	for _, message := range []string{`\u001b[2J\u202e`, `\n`, long, "x" + long} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 403, "application/json", `{"errors":[{"code":"DENIED","message":"`+message+`"}]}`)
		})
		_, err := open(t, s.host, quick()).Tags(t.Context())
		if kind(err) != "unauthorized" || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "denied") {
			t.Errorf("%q", err)
		}
		for _, r := range err.Error() {
			if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
				t.Errorf("%q in %q", r, err)
				break
			}
		}
	}
}

// Neither does the log show what it must not.
func TestLogHoldsNoSecrets(t *testing.T) {
	var text bytes.Buffer
	options := quick()
	options.Logger = debugLogger(&text)
	options.Credentials = userAndPassword("me", "s3cr3t")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
			return
		}
		w.Header().Set("Link", `<?last=s3cr3t>; rel="next"`)
		if r.URL.RawQuery != "" {
			w.Header().Del("Link")
		}
		answer(w, 200, "application/json", `{"tags":["tag`+r.URL.RawQuery+`"]}`)
	})
	if _, err := open(t, s.host, options).Tags(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := text.String()
	if strings.Count(got, "/v2/team/image/tags/list") != 3 || strings.Count(got, "status=200") != 2 || strings.Contains(got, "s3cr3t") || strings.Contains(got, "Basic") {
		t.Error(got)
	}
}

// What a stranger writes is shown in one short line, and in no words of Go's.
func TestStrangersTextsAreShort(t *testing.T) {
	long := "gone \x1b[31mred\n" + strings.Repeat("y", 5000)
	tokens := serve(t, nil)
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		ask     func(Repository) error
	}{
		"plain words": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "text/plain", long) }, func(r Repository) error {
			_, err := r.Tags(t.Context())
			return err
		}},
		"a digest": {func(w http.ResponseWriter, _ *http.Request) {}, func(r Repository) error {
			return r.StatBlob(t.Context(), ocispec.Descriptor{Digest: digest.Digest(long)})
		}},
		"a name twice": {func(w http.ResponseWriter, _ *http.Request) {
			name := strings.Repeat("y", 5000)
			answer(w, 200, "application/json", `{"`+name+`":1,"`+name+`":2}`)
		}, func(r Repository) error {
			_, err := r.Tags(t.Context())
			return err
		}},
		"a token that is a number": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				answer(w, 200, "application/json", `{"token":5}`)
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+tokens.host+`/token"`)
			answer(w, 401, "application/json", `{}`)
		}, func(r Repository) error {
			_, err := r.Tags(t.Context())
			return err
		}},
	} {
		tokens.handler = tt.handler
		err := tt.ask(open(t, tokens.host, Options{Attempts: 1}))
		if kind(err) == "" || len(err.Error()) > 1200 || strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "Go ") {
			t.Errorf("%s: got %q", name, err)
		}
	}
}

func TestLongMediaTypes(t *testing.T) {
	d, manifest := manifestOf(t, "m", nil)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, strings.Repeat("application/", 1000), string(manifest))
	})
	if got, _, err := open(t, s.host, quick()).Manifest(t.Context(), "t"); err != nil || got.MediaType != d.MediaType {
		t.Errorf("got a manifest of type %.100q, %v; want that of its body, %q", got.MediaType, err, d.MediaType)
	}
}
