package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/server"
)

// answering answers everything below /v2/os/ with a status, and words that only
// those inside may hear.
func (w *world) answering(status int) {
	w.refusing(func(answer http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v2/os/") {
			return false
		}
		answer.Header().Set("Content-Type", "application/json")
		answer.WriteHeader(status)
		code := "DENIED"
		if status == http.StatusNotFound {
			code = "MANIFEST_UNKNOWN"
		}
		_, _ = fmt.Fprintf(answer, `{"errors":[{"code":%q,"message":"vault is sealed"}]}`, code)
		return true
	})
}

// What a registry answered is told to the log and to clients with a token, in no
// way to the others: not by a request, not by what everybody is shown, not by what
// is recorded.
func TestAnswersOfRegistriesAreForTokens(t *testing.T) {
	for status, reason := range map[int]string{
		401: health.ReasonUnauthorized, 403: health.ReasonUnauthorized, 404: health.ReasonManifestUnknown, 418: health.ReasonUnauthorized, // by its words
		429: health.ReasonThrottled, 500: health.ReasonRegistryUnreachable, 302: health.ReasonRegistryUnreachable,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			testAnswersAreForTokens(t, status, reason)
		})
	}
}

func testAnswersAreForTokens(t *testing.T, status int, reason string) {
	w := newWorld(t)
	w.publish("a")
	w.startReady(func(o *server.Options) { w.allowPublish(o); o.RecordStatuses = true })
	events := w.listen("")
	w.answering(status)
	leaks := func(what, text string) {
		t.Helper()
		for _, word := range []string{"vault", "sealed", "DENIED", "/v2/", "anonymous", http.StatusText(status) + ":", "connection", "HEAD "} {
			if strings.Contains(text, word) {
				t.Errorf("%d: %s says %q: %s", status, what, word, text)
			}
		}
	}
	a := w.ask("POST", "/v1/catalog/images/a/verify?wait=true", "", "Authorization: Bearer not-one-of-ours-000")
	if !strings.Contains(string(a.body), `"failure"`) || !strings.Contains(string(a.body), `"result"`) {
		t.Errorf("%d: verified as %s, want a failure and the checks", status, a.body)
	}
	leaks("verify", string(a.body))
	w.until("shown", func() bool { return w.list("?phase=all").Items[0].StatusReason == reason })
	leaks("an event", events.next(t))
	for _, path := range []string{"/v1/catalog/images?phase=all", "/v1/catalog/images/a", "/v1/catalog/images/a?version=1", "/v1/catalog/images/a/history", "/readyz"} {
		leaks(path, string(w.ask("GET", path, "", bearer).body))
	}
	item := w.list("?phase=all").Items[0]
	if item.StatusMessage == "" || len(item.Conditions) == 0 || item.Conditions[0].Message != item.StatusMessage {
		t.Errorf("%d: %+v, want a sentence, and the same in the condition", status, item)
	}
	w.until("let through", func() bool {
		a = w.ask("POST", "/v1/catalog/images/a/verify?wait=true", "", bearer)
		return a.status == 200
	})
	if status != 302 && !strings.Contains(string(a.body), "/os/a") {
		t.Errorf("%d: a client with a token is told %s, want what was answered", status, a.body)
	}
	if !strings.Contains(w.log.String(), `msg="probe failed"`) || !strings.Contains(w.log.String(), "told to nobody but the log") {
		t.Errorf("%d: the log lacks what was answered:\n%s", status, w.log.String())
	}
	w.stop()
	recorded, err := w.open("team/catalog").Get(t.Context(), "a", catalog.GetOptions{})
	if err != nil || recorded.StatusReason != reason {
		t.Fatalf("%d: recorded is %+v, error %v, want reason %s", status, recorded, err, reason)
	}
	leaks("what is recorded", recorded.StatusMessage)
}

// What an older server recorded in the words of a registry is not shown.
func TestRecordedAnswersAreNotShown(t *testing.T) {
	w := newWorld(t)
	w.publish("a")
	item, err := w.catalog.Get(t.Context(), "a", catalog.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.catalog.ForServer().SaveStatuses(t.Context(), func(map[string]*entry.Status) []*entry.Status {
		return []*entry.Status{{Name: "a", Revision: item.Revision, Phase: entry.PhaseFailed, Reason: health.ReasonUnauthorized, Message: "vault is sealed",
			LastVerified: entry.NewTime(item.PublishedAt.Add(time.Second)), Since: item.PublishedAt}}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*server.Options){"with probes": nil, "without": func(o *server.Options) { o.Interval = 0 }} {
		w.startReady(change)
		for _, path := range []string{"/v1/catalog/images?phase=all", "/v1/catalog/images/a", "/v1/catalog/images/a?version=1"} {
			if a := w.ask("GET", path, ""); a.status != 200 || strings.Contains(string(a.body), "vault") {
				t.Errorf("%s, %s: %d %s", name, path, a.status, a.body)
			}
		}
		w.stop()
	}
}
