package registry

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDate(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	for _, tt := range []struct {
		name   string
		header http.Header
		want   time.Time
	}{
		{"said", http.Header{"Date": {now.Add(-3 * time.Hour).Format(http.TimeFormat)}}, now.Add(-3 * time.Hour)},
		{"said by a cache", http.Header{"Date": {now.Add(-3 * time.Hour).Format(http.TimeFormat)}, "Age": {"3600"}}, now.Add(-2 * time.Hour)},
		{"no date", http.Header{"Date": nil}, time.Time{}},
		{"not a date", http.Header{"Date": {"yesterday"}}, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for key, values := range tt.header {
					w.Header()[key] = values
				}
				_, _ = w.Write([]byte(`{"name":"a/b","tags":[]}`))
			}))
			defer server.Close()
			client, err := New(Options{})
			if err != nil {
				t.Fatal(err)
			}
			repository, err := client.Open(Reference{Registry: strings.TrimPrefix(server.URL, "http://"), Repository: "a/b"})
			if err != nil {
				t.Fatal(err)
			}
			dated := repository.(interface{ Date() time.Time })
			if got := dated.Date(); !got.IsZero() {
				t.Errorf("%s before it was asked", got)
			}
			if _, err := repository.Tags(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := dated.Date(); got.IsZero() != tt.want.IsZero() || got.Sub(tt.want).Abs() > time.Minute {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// What time it is, no single answer decides: not one that is odd, and not one
// that a cache repeats.
func TestOddDates(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	at := func(offset time.Duration) http.Header {
		return http.Header{"Date": {now.Add(offset).Format(http.TimeFormat)}}
	}
	aged := func(header http.Header, age string) http.Header {
		header.Set("Age", age)
		return header
	}
	right, year := at(0), 365*24*time.Hour
	for _, tt := range []struct {
		name    string
		answers []http.Header
		want    time.Time
	}{
		{"a year ahead, once", []http.Header{at(year), right}, now},
		{"a year ahead, and then no more", []http.Header{at(year), at(-3 * time.Hour), at(-3 * time.Hour)}, now.Add(-3 * time.Hour)},
		{"a year behind, once", []http.Header{at(-year), right, right}, now},
		{"a year ahead, later", []http.Header{right, right, at(year)}, now},
		{"repeated by a cache", []http.Header{right, right, at(-year), at(-year), right}, now},
		{"a clock that is set", append(slices.Repeat([]http.Header{at(year)}, 20), slices.Repeat([]http.Header{right}, 5)...), now},
		{"a clock that is a year ahead", []http.Header{at(year), at(year), at(year)}, now.Add(year)},
		{"an age of ten years", []http.Header{aged(at(0), "315360000")}, time.Time{}},
		{"an age of ten years, once", []http.Header{aged(at(0), "315360000"), at(-3 * time.Hour)}, now.Add(-3 * time.Hour)},
		{"an age without end", []http.Header{aged(at(0), "9223372036854775807")}, time.Time{}},
		{"an age that overflows", []http.Header{aged(at(0), "92233720368547758080")}, time.Time{}},
		{"an age of a day", []http.Header{aged(at(-24*time.Hour), "86400")}, now},
		{"an age that is none", []http.Header{aged(at(0), "old")}, now},
		{"the year 9999", []http.Header{{"Date": {"Fri, 31 Dec 9999 23:59:59 GMT"}}}, time.Time{}},
		{"the year 1", []http.Header{{"Date": {"Mon, 01 Jan 0001 00:00:00 GMT"}}}, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			left := tt.answers
			d := &dates{hosts: recent[date](maxHosts), base: roundTripper(func(request *http.Request) (*http.Response, error) {
				response := respond(request, 200, strings.NewReader(""))
				response.Header, left = left[0], left[1:]
				return response, nil
			})}
			for range tt.answers {
				if _, err := d.RoundTrip(httptest.NewRequest(http.MethodGet, "http://registry.example.com/v2/", nil)); err != nil {
					t.Fatal(err)
				}
			}
			if got := d.of("registry.example.com"); got.IsZero() != tt.want.IsZero() || got.Sub(tt.want).Abs() > time.Minute {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Content by its digest is what caches repeat, with the date that it had.
func TestDatesOfContent(t *testing.T) {
	blob := describe("application/x", []byte("blob"))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
			answer(w, 200, "application/octet-stream", "blob")
			return
		}
		answer(w, 200, "application/json", `{"tags":[]}`)
	})
	repository := open(t, s.host, quick())
	if _, err := repository.Tags(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := repository.Blob(t.Context(), blob); err != nil {
			t.Fatal(err)
		}
	}
	if got := repository.(interface{ Date() time.Time }).Date(); time.Since(got).Abs() > time.Minute {
		t.Errorf("%s, want now", got)
	}
}
