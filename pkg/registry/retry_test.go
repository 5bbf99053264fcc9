package registry

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{"Sun, 01 Mar 2026 10:00:30 GMT", 30 * time.Second, true},
		{"Sun, 01 Mar 2026 09:00:00 GMT", 0, true},
		{"-5", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"", 0, false},
		{"99999999999999999999", 0, false},
	} {
		if got, ok := retryAfter(tt.value, now); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %s, %t; want %s, %t", tt.value, got, ok, tt.want, tt.ok)
		}
	}
}

func exchange(t *testing.T, method, path string, status int, retryAfter string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Response{StatusCode: status, Request: request, Header: http.Header{"Retry-After": {retryAfter}}}
}

// repeats reports whether a policy of four attempts sends the request again.
func repeats(t *testing.T, response *http.Response, cause error) bool {
	t.Helper()
	wait, err := policy{attempts: 4, backoff: time.Millisecond}.Retry(0, response, cause)
	if err != nil {
		t.Error(err)
	}
	return wait >= 0
}

func TestWhichAnswersAreRepeated(t *testing.T) {
	const manifest, upload, session = "/v2/a/manifests/t", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/7"
	for _, tt := range []struct {
		method, path string
		status       int
		want         bool
	}{
		{"GET", manifest, 200, false},
		{"GET", manifest, 401, false},
		{"GET", manifest, 403, false},
		{"GET", manifest, 404, false},
		{"GET", manifest, 429, true},
		{"GET", manifest, 500, true},
		{"GET", manifest, 501, false},
		{"GET", manifest, 502, true},
		{"GET", manifest, 503, true},
		{"HEAD", manifest, 504, true},
		{"PUT", manifest, 500, true},
		{"DELETE", manifest, 500, true},
		{"POST", upload, 500, true},
		{"POST", session, 500, false},
		{"PATCH", session, 500, false},
		{"PATCH", session, 429, true}, // not acted upon
		{"POST", session, 503, true},
		{"POST", "/token", 500, false},
	} {
		if got := repeats(t, exchange(t, tt.method, tt.path, tt.status, ""), nil); got != tt.want {
			t.Errorf("%s %s after %d: repeated is %t, want %t", tt.method, tt.path, tt.status, got, tt.want)
		}
	}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&exchangeError{err: errors.New("cut"), repeatable: true}, true},
		{&exchangeError{err: errors.New("cut")}, false},
		{errors.New("something else"), false},
	} {
		if got := repeats(t, nil, tt.err); got != tt.want {
			t.Errorf("after %v: repeated is %t, want %t", tt.err, got, tt.want)
		}
	}
}

func TestWaitsGrowAndAreCapped(t *testing.T) {
	p := policy{attempts: 1000, backoff: 200 * time.Millisecond}
	for _, tt := range []struct {
		attempt int
		most    time.Duration
	}{{0, 200 * time.Millisecond}, {1, 400 * time.Millisecond}, {3, 1600 * time.Millisecond}, {5, maxBackoff}, {40, maxBackoff}, {900, maxBackoff}} {
		waits := map[time.Duration]bool{}
		for range 50 {
			wait, _ := p.Retry(tt.attempt, exchange(t, "GET", "/v2/a/tags/list", 500, ""), nil)
			waits[wait] = true
			if wait < tt.most/2 || wait > tt.most {
				t.Fatalf("attempt %d waits %s, want %s to %s", tt.attempt, wait, tt.most/2, tt.most)
			}
		}
		if len(waits) < 10 {
			t.Errorf("attempt %d: the waits are hardly spread: %v", tt.attempt, waits)
		}
	}
	if wait, _ := p.Retry(999, exchange(t, "GET", "/v2/a/tags/list", 500, ""), nil); wait >= 0 {
		t.Errorf("a thousand attempts, and then one more after %s", wait)
	}
}

func TestRetryAfterReplacesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock stands still
		for _, tt := range []struct {
			name    string
			status  int
			header  string
			atLeast time.Duration
			atMost  time.Duration
		}{
			{"seconds", 429, "17", 17 * time.Second, 17 * time.Second},
			{"seconds with 503", 503, "17", 17 * time.Second, 17 * time.Second},
			{"a date", 429, time.Now().Add(time.Minute).UTC().Format(http.TimeFormat), time.Minute, time.Minute},
			{"a date that is past", 429, "Mon, 01 Mar 1999 10:00:00 GMT", 0, 0},
			{"nonsense", 429, "soon", time.Millisecond / 2, time.Millisecond},
			{"not with 500", 500, "17", time.Millisecond / 2, time.Millisecond},
		} {
			wait, err := policy{attempts: 4, backoff: time.Millisecond}.Retry(0, exchange(t, "GET", "/v2/a/tags/list", tt.status, tt.header), nil)
			if err != nil || wait < tt.atLeast || wait > tt.atMost {
				t.Errorf("%s: %s, %v; want %s to %s", tt.name, wait, err, tt.atLeast, tt.atMost)
			}
		}
	})
}

func TestThrottledRequestsComeThrough(t *testing.T) {
	var s *script
	s = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if len(s.requests()) < 3 {
			w.Header().Set("Retry-After", "0")
			answer(w, http.StatusTooManyRequests, "application/json", `{}`)
			return
		}
		answer(w, http.StatusOK, "application/json", `{"tags":["a"]}`)
	})
	tags, err := open(t, s.host, quick()).Tags(t.Context())
	if err != nil || len(tags) != 1 || len(s.requests()) != 3 {
		t.Errorf("%v, %v after %v", tags, err, s.requests())
	}
}

// A registry that asks for a longer wait than the command has left is not
// waited for: what it said is worth more than a time-out.
func TestNoWaitBeyondTheDeadline(t *testing.T) {
	for _, header := range []string{"3600", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			answer(w, http.StatusTooManyRequests, "application/json", `{}`)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := open(t, s.host, quick()).Tags(ctx); kind(err) != "unreachable" || len(s.requests()) != 1 {
			t.Errorf("%v after %v, want what the registry said after one request", err, s.requests())
		}
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	for _, attempts := range []int{1, 3} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 503, "application/json", `{}`) })
		_, err := open(t, s.host, Options{Attempts: attempts, Backoff: time.Microsecond}).Tags(t.Context())
		if kind(err) != "unreachable" || len(s.requests()) != attempts {
			t.Errorf("%d attempts: %v after %v", attempts, err, s.requests())
		}
	}
}

// A manifest is sent whole each time.
func TestRepeatedPutSendsTheBodyAgain(t *testing.T) {
	d, manifest := manifestOf(t, "again", nil)
	var sums []digest.Digest
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sum, err := digest.FromReader(r.Body)
		if err != nil {
			t.Error(err)
		}
		if sums = append(sums, sum); len(sums) < 3 {
			answer(w, 502, "text/html", "<html>bad gateway</html>")
			return
		}
		w.Header().Set("Docker-Content-Digest", d.Digest.String())
		w.WriteHeader(http.StatusCreated)
	})
	if err := open(t, s.host, quick()).PushManifest(t.Context(), d, manifest, "t"); err != nil {
		t.Fatal(err)
	}
	for _, sum := range sums {
		if sum != d.Digest {
			t.Errorf("sent %v, want %s each time", sums, d.Digest)
		}
	}
}

// Without a deadline a registry could send its client to sleep for years.
func TestNoUnboundedWait(t *testing.T) {
	for value, want := range map[string]bool{"60": true, "3600": false, "Sun, 01 Mar 2099 10:00:30 GMT": false} {
		if got := repeats(t, exchange(t, http.MethodGet, "/v2/a/tags/list", http.StatusTooManyRequests, value), nil); got != want {
			t.Errorf("Retry-After %s: repeated %t, want %t", value, got, want)
		}
	}
}
