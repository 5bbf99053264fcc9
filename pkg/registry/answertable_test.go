package registry

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// answerTable reads the table of SPEC section 11: what an answer means, by
// answer and request.
func answerTable(t *testing.T) (requests []string, meanings map[string]map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../schema/SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	meanings = map[string]map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case requests == nil && cells[0] == "answer" && cells[1] == "tag list GET":
			requests = cells[1:]
		case requests == nil || strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(requests)+1:
			return requests, meanings
		default:
			meanings[cells[0]] = map[string]string{}
			for i, request := range requests {
				meanings[cells[0]][request] = cells[i+1]
			}
		}
	}
	return requests, meanings
}

// withStatus answers with a status and a body.
func withStatus(status int, mediaType, body string) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { answer(w, status, mediaType, body) }
}

// answerers are the answers of the table: each may ask for the right one.
func answerers(elsewhere string) map[string]func(w http.ResponseWriter, r *http.Request, right http.HandlerFunc) {
	const (
		words = `{"errors":[{"code":"SOME_CODE","message":"the registry's words"}]}`
		page  = "<!DOCTYPE html><title>Sign in</title>"
	)
	all := map[string]func(http.ResponseWriter, *http.Request, http.HandlerFunc){
		"200 with another JSON": withStatus(200, "application/json", `{"message":"ok"}`),
		"200 with HTML":         withStatus(200, "text/html; charset=utf-8", page),
		"404 with text":         withStatus(404, "text/plain", "404 page not found\n"),
		"404 with HTML":         withStatus(404, "text/html", page),
		"404 with JSON":         withStatus(404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`),
		"404 with another code": withStatus(404, "application/json", `{"errors":[{"code":"INTERNAL_ERROR","message":"the registry's words"}]}`),
		"404 that denies":       withStatus(404, "application/json", `{"errors":[{"code":"denied","message":"the registry's words"}]}`),
		"404 that is cut": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			cutWith(w, 404, "application/json", `{"errors":[`)
		},
		"204": withStatus(204, "", ""),
		"200 with no type": func(w http.ResponseWriter, r *http.Request, right http.HandlerFunc) {
			recorded := httptest.NewRecorder()
			right(recorded, r)
			for key, values := range recorded.Header() {
				w.Header()[key] = values
			}
			w.Header()["Content-Type"] = nil
			w.WriteHeader(recorded.Code)
			w.Write(recorded.Body.Bytes())
		},
		"3xx to another host": func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			http.Redirect(w, r, "http://"+elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"a cut body": func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			cut(w, "application/json", `{"tags":[],`)
		},
	}
	for text, status := range map[string]int{"201": 201, "202": 202, "400": 400, "401": 401, "403": 403, "405": 405, "406": 406, "416": 416, "429": 429, "500": 500, "501": 501, "503": 503} {
		all[text] = withStatus(status, "application/json", words)
	}
	return all
}

// asked names the request of the table that a request is; "" is none of it.
func asked(r *http.Request) string {
	path := r.URL.Path
	switch {
	case path == "/token":
		return "token GET"
	case strings.HasSuffix(path, "/tags/list"):
		return "tag list GET"
	case strings.Contains(path, "/referrers/"):
		return "referrers GET"
	case strings.Contains(path, "/manifests/sha256-"):
		return "" // the fallback tag
	case strings.Contains(path, "/manifests/"):
		return "manifest " + r.Method
	case strings.HasSuffix(path, "/blobs/uploads/"):
		return "upload " + r.Method
	case strings.Contains(path, "/blobs/"):
		return "blob " + r.Method
	}
	return ""
}

// TestAnswersMeanWhatTheSpecificationSays tries every answer to every request
// of the table: nothing is said to be absent, empty or unsigned that the
// specification does not say.
func TestAnswersMeanWhatTheSpecificationSays(t *testing.T) {
	requests, meanings := answerTable(t)
	elsewhere := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
	})
	all := answerers(elsewhere.host)
	if len(requests) != 9 || len(meanings) != len(all) {
		t.Fatalf("the table has %d requests and %d answers, want 9 and %d", len(requests), len(meanings), len(all))
	}
	registry := inProcess(t, true)
	plain := open(t, registry, quick())
	subject := subjectIn(t, plain)
	if _, err := attach(t, plain, "a", subject); err != nil {
		t.Fatal(err)
	}
	for name, answerer := range all {
		for _, request := range requests {
			t.Run(name+" to "+request, func(t *testing.T) {
				t.Parallel()
				right := func(w http.ResponseWriter, r *http.Request) { forward(t, w, r, registry) }
				var s *script
				s = serve(t, func(w http.ResponseWriter, r *http.Request) {
					isToken := request == "token GET"
					switch {
					case asked(r) == request && isToken:
						answerer(w, r, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", `{"token":"t0ken"}`) })
					case asked(r) == request:
						answerer(w, r, right)
					case isToken && r.Header.Get("Authorization") != "Bearer t0ken":
						w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token"`)
						answer(w, 401, "application/json", `{}`)
					default:
						if request == "blob PUT" {
							r = inTwoSteps(r)
						}
						right(w, r)
					}
				})
				got := outcome(t, open(t, s.host, quick()), request, subject)
				if want := meanings[name][request]; got != want {
					t.Errorf("it is said to be %s, want %s", got, want)
				}
			})
		}
	}
}

// outcome asks what a request of the table is for, and says what came of it in
// the words of the table. New content is written, so that none is found.
func outcome(t *testing.T, repository Repository, request string, subject ocispec.Descriptor) string {
	t.Helper()
	ctx := t.Context()
	d, manifest := manifestOf(t, t.Name(), nil)
	blob := []byte(t.Name())
	empty := false
	var err error
	switch request {
	case "tag list GET", "token GET":
		var tags []string
		tags, err = repository.Tags(ctx)
		empty = len(tags) == 0
	case "manifest GET":
		_, _, err = repository.Manifest(ctx, "subject")
	case "manifest HEAD":
		_, err = repository.Resolve(ctx, "subject")
	case "blob HEAD":
		err = repository.StatBlob(ctx, ocispec.DescriptorEmptyJSON)
	case "referrers GET":
		var list []ocispec.Descriptor
		list, err = repository.Referrers(ctx, subject)
		empty = len(list) == 0
	case "upload POST", "blob PUT":
		err = repository.PushBlob(ctx, describe("application/x", blob), blob)
	case "manifest PUT":
		err = repository.PushManifest(ctx, d, manifest, "new")
	default:
		t.Fatalf("the table asks for %q", request)
	}
	switch {
	case err == nil && empty, kind(err) == "not found":
		return "absent"
	case err == nil:
		return "right"
	}
	return kind(err)
}
