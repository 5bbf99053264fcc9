package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// replica is a registry of one blob that answers as a test wants.
func replica(t *testing.T, blob string, handler http.HandlerFunc) *script {
	t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", zeroTime, strings.NewReader(blob))
		}
	}
	return serve(t, handler)
}

// mirroredBy opens the repository team/image of the last host, with the others as
// its mirrors; log is what it warns of.
func mirroredBy(t *testing.T, options Options, hosts ...string) (m Repository, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	origin := hosts[len(hosts)-1]
	for _, host := range hosts[:len(hosts)-1] {
		options.Mirrors = append(options.Mirrors, Mirror{Prefix: origin, Location: host + "/copies"})
	}
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	m, err = client.OpenMirrored(Reference{Registry: origin, Repository: "team/image"})
	if err != nil {
		t.Fatal(err)
	}
	return m, log
}

func status404(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusNotFound, "application/json", `{"errors":[{"code":"BLOB_UNKNOWN"}]}`)
}

// refusing answers with a status.
func refusing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, "application/json", `{}`) }
}

// What one place cannot give, the next one is asked for; which one answered is
// known. Absence is no news, any other failure is.
func TestMirroredOpenBlob(t *testing.T) {
	const content = "the blob"
	page := func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "text/html", "<html>") }
	longer := func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "application/x", content+"!") }
	for _, tt := range []struct {
		name            string
		first, origin   http.HandlerFunc // nil has it
		want, answered  string           // the bytes or the kind of the error; which place
		warns, askOrign bool
	}{
		{"a mirror that has it", nil, nil, content, "first", false, false},
		{"a mirror that lacks it", status404, nil, content, "origin", false, true},
		{"a mirror that fails", refusing(500), nil, content, "origin", true, true},
		{"a mirror that refuses", refusing(403), nil, content, "origin", true, true},
		{"a mirror that sends a page", page, nil, content, "origin", true, true},
		{"a mirror of another size", longer, nil, content, "origin", true, true},
		{"nobody has it", status404, status404, "not found", "", false, true},
		{"a mirror lacks it, and the origin fails", status404, refusing(500), "unreachable", "", false, true},
		{"a mirror fails, and the origin lacks it", refusing(500), status404, "not found", "", true, true},
		{"a mirror has it, and the origin lacks it", nil, status404, content, "first", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, origin := replica(t, content, tt.first), replica(t, content, tt.origin)
			m, log := mirroredBy(t, quick(), first.host, origin.host)
			blob := describe("application/x", []byte(content))
			got, _, err := readFrom(t, m, blob, 0)
			if err != nil {
				got = kind(err)
			}
			answered := map[string]string{"": "", first.host + "/copies/team/image": "first", origin.host + "/team/image": "origin"}[m.(*mirrored).Answered(blob.Digest)]
			if got != tt.want || answered != tt.answered || log.Len() > 0 != tt.warns || len(origin.requests()) > 0 != tt.askOrign {
				t.Errorf("got %q of %q, %v, warned %q, the origin was asked %q; want %q of %q", got, answered, err, log, origin.requests(), tt.want, tt.answered)
			}
		})
	}
}

// A place that breaks with next to nothing comes last; one that broke after more is
// asked to go on.
func TestMirroredGoesOnElsewhere(t *testing.T) {
	content := strings.Repeat("0123456789", 1000)
	blob := describe("application/x", []byte(content))
	for sent, want := range map[int]string{0: "origin", 1: "origin", leastSent - 1: "origin", leastSent: "first"} {
		first := replica(t, content, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10000")
			io.WriteString(w, content[:sent])
			abort(w)
		})
		origin := replica(t, content, nil)
		m, _ := mirroredBy(t, quick(), first.host, origin.host)
		if _, _, err := readFrom(t, m, blob, 0); kind(err) != "unreachable" {
			t.Fatalf("of a broken answer: %v", err)
		}
		before := len(first.requests())
		_, _, _ = readFrom(t, m, blob, int64(sent))
		if asked := len(first.requests()) > before; asked != (want == "first") {
			t.Errorf("after %d bytes the broken place is asked again: %t", sent, asked)
		}
	}
}

// A place of which too little came is left; whoever stopped reading says nothing of it.
func TestMirroredLeavesWhatStalls(t *testing.T) {
	content := strings.Repeat("0123456789", 1000)
	blob := describe("application/x", []byte(content))
	stalled := fmt.Errorf("%w: it stalls", entry.ErrUnreachable)
	for cause, leaves := range map[error]bool{stalled: true, context.Canceled: false} {
		first := replica(t, content, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10000")
			io.WriteString(w, content[:10])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		origin := replica(t, content, nil)
		m, log := mirroredBy(t, quick(), first.host, origin.host)
		ctx, cancel := context.WithCancelCause(t.Context())
		body, _, err := m.OpenBlob(ctx, blob, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		cancel(cause)
		if n, err := body.Read(make([]byte, 10)); err == nil {
			t.Errorf("%v: %d bytes more, want an error", cause, n)
		}
		body.Close()
		left := m.(*mirrored).left(blob.Digest.String())
		if left[0].base != first.host+"/copies/team/image" != leaves || strings.Contains(log.String(), "it stalls") != leaves {
			t.Errorf("%v: %s is asked next, warned %q", cause, left[0].base, log)
		}
	}
}

// Of places that sent parts of what is not right, each is asked for all of it.
func TestMirroredReject(t *testing.T) {
	const content = "the blob"
	blob := describe("application/x", []byte(content))
	liar := replica(t, "no blob!", nil)
	origin := replica(t, content, nil)
	m, log := mirroredBy(t, quick(), liar.host, origin.host)
	if got, _, _ := readFrom(t, m, blob, 0); got != "no blob!" {
		t.Fatalf("got %q", got)
	}
	if !m.(*mirrored).Reject(t.Context(), blob.Digest, io.ErrUnexpectedEOF) || !strings.Contains(log.String(), liar.host) {
		t.Errorf("no other place, or no word of it: %s", log)
	}
	if got, _, err := readFrom(t, m, blob, 0); got != content || err != nil {
		t.Errorf("of the other place: %q, %v", got, err)
	}
	if m.(*mirrored).Reject(t.Context(), blob.Digest, io.ErrUnexpectedEOF) {
		t.Error("there is another place than both")
	}
	if _, _, err := readFrom(t, m, blob, 0); kind(err) != "malformed" {
		t.Errorf("after all were rejected: %v, want malformed", err)
	}
}

// Of places whose very answer is wrong, none is asked twice.
func TestMirroredWrongBeforeTheBody(t *testing.T) {
	const content = "the blob"
	blob := describe("application/x", []byte(content))
	mirror, origin := replica(t, "no", nil), replica(t, "none", nil)
	m, _ := mirroredBy(t, quick(), mirror.host, origin.host)
	for round := range 2 {
		if _, _, err := readFrom(t, m, blob, 0); kind(err) != "malformed" {
			t.Fatalf("round %d: %v, want malformed", round, err)
		}
		if m.(*mirrored).Reject(t.Context(), blob.Digest, io.ErrUnexpectedEOF) {
			t.Errorf("round %d: there is another place than both", round)
		}
	}
	if asked := len(mirror.requests()) + len(origin.requests()); asked != 2 {
		t.Errorf("%d requests, want one to each place", asked)
	}
}

// A place that sent the first bytes and then a wrong answer leaves the others to be
// asked.
func TestMirroredRejectWhoIsGone(t *testing.T) {
	const content = "0123456789"
	blob := describe("application/x", []byte(content))
	asked := 0
	mirror := replica(t, "", func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "xx")
			abort(w)
		}
	})
	origin := replica(t, content, nil)
	m, _ := mirroredBy(t, quick(), mirror.host, origin.host)
	_, _, _ = readFrom(t, m, blob, 0)
	if got, _, err := readFrom(t, m, blob, 2); err != nil || !strings.HasSuffix(got, content[2:]) {
		t.Fatalf("the rest: %q, %v", got, err)
	}
	if !m.(*mirrored).Reject(t.Context(), blob.Digest, io.ErrUnexpectedEOF) {
		t.Fatal("the origin is not asked for all of it")
	}
	if got, _, err := readFrom(t, m, blob, 0); got != content || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// Manifests are read where they are, and those that are not of the digest nowhere.
// What tags name, the origin says alone.
func TestMirroredManifest(t *testing.T) {
	d, text := manifestOf(t, "one", nil)
	_, other := manifestOf(t, "other", nil)
	mirror := replica(t, "", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, ocispec.MediaTypeImageManifest, string(other))
	})
	origin := replica(t, "", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, ocispec.MediaTypeImageManifest, string(text))
	})
	m, log := mirroredBy(t, quick(), mirror.host, origin.host)
	if found, got, err := m.Manifest(t.Context(), d.Digest.String()); err != nil || string(got) != string(text) || found.Digest != d.Digest || log.Len() == 0 {
		t.Errorf("got %s, %v, warned %q", got, err, log)
	}
	before := len(mirror.requests())
	if found, _, err := m.Manifest(t.Context(), "1"); err != nil || found.Digest != d.Digest || len(mirror.requests()) != before {
		t.Errorf("by tag: %s, %v; the mirror was asked %q", found.Digest, err, mirror.requests()[before:])
	}
	if found, err := m.Resolve(t.Context(), "1"); err != nil || found.Digest != d.Digest || len(mirror.requests()) != before {
		t.Errorf("a tag: %s, %v; the mirror was asked %q", found.Digest, err, mirror.requests()[before:])
	}
}

// A mirror is sent its own login, never that of the origin.
func TestMirroredLogins(t *testing.T) {
	const content = "the blob"
	sent := map[string]bool{}
	logged := func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		sent[r.Host+" "+user] = true
		if user == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			answer(w, 401, "application/json", `{}`)
			return
		}
		status404(w, r)
	}
	mirror, other, origin := replica(t, content, logged), replica(t, content, logged), replica(t, content, logged)
	options := quick()
	options.AuthFile = writeFile(t, t.TempDir()+"/auth.json", `{"auths":{"`+origin.host+`":{"username":"origin","password":"p"},"`+other.host+`":{"username":"other","password":"p"}}}`, 0o600)
	m, _ := mirroredBy(t, options, mirror.host, other.host, origin.host)
	_, _, err := readFrom(t, m, describe("application/x", []byte(content)), 0)
	for _, want := range []string{mirror.host + " ", other.host + " other", origin.host + " origin"} {
		if !sent[want] {
			t.Errorf("%q was not sent: %v, %v", want, sent, err)
		}
	}
	for _, never := range []string{mirror.host + " origin", mirror.host + " other", other.host + " origin"} {
		if sent[never] {
			t.Errorf("%q was sent", never)
		}
	}
}

// A place that is insecure by registries.conf is asked whatever its certificate is,
// and without TLS where it has none; no other is.
func TestMirroredInsecure(t *testing.T) {
	const content = "the blob"
	blob := describe("application/x", []byte(content))
	secure := tlsReplica(t, content)
	plain := replica(t, content, nil)
	for name, tt := range map[string]struct {
		host     string
		insecure string
		want     string
	}{
		"an unknown certificate":            {secure, "true", content},
		"plain HTTP":                        {plain.host, "true", content},
		"an unknown certificate, by itself": {secure, "false", "unreachable"},
		"plain HTTP, by itself":             {plain.host, "false", "unreachable"},
	} {
		options := quick()
		options.PlainHTTP = never
		options.Getenv = home(t, map[string]string{"registries.conf": "[[registry]]\nlocation = 'registry.invalid'\nmirror = [{location = '" + tt.host + "', insecure = " + tt.insecure + "}]"})
		options.Attempts = 1
		m, log := mirroredBy(t, options, "registry.invalid")
		got, _, err := readFrom(t, m, blob, 0)
		if err != nil {
			got = kind(err)
		}
		if got != tt.want {
			t.Errorf("%s: got %q, %v, warned %q; want %q", name, got, err, log, tt.want)
		}
	}
}

// A place that did not answer comes last for a while.
func TestMirroredRemembersWhoIsAway(t *testing.T) {
	const content = "the blob"
	away, origin := replica(t, content, refusing(500)), replica(t, content, nil)
	m, _ := mirroredBy(t, quick(), away.host, origin.host)
	for n, text := range []string{content, "another!"} {
		if got, _, err := readFrom(t, m, describe("application/x", []byte(text)), 0); err != nil || got != content {
			t.Fatalf("got %q, %v", got, err)
		}
		if asked := len(away.requests()); asked != quick().Attempts {
			t.Errorf("blob %d: %d requests to a place that is away, want %d", n, asked, quick().Attempts)
		}
	}
}

// tlsReplica is a replica whose certificate nobody knows.
func tlsReplica(t *testing.T, blob string) string {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", zeroTime, strings.NewReader(blob))
	}))
	server.Config.ErrorLog = quietLog()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}
