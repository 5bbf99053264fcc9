package registry

import (
	"net/http"
	"net/http/httptest"
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
