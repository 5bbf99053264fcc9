package entry

import (
	"errors"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-03-01T12:30:00Z":          time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC),
		"2026-03-01T12:30:00.123+02:00": time.Date(2026, 3, 1, 10, 30, 0, 123_000_000, time.UTC),
		"2026-03-01":                    time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		"48h":                           now.Add(-48 * time.Hour),
		"90m":                           now.Add(-90 * time.Minute),
		"3d":                            now.AddDate(0, 0, -3),
		"0d":                            now,
		"0":                             now,
		"2w":                            now.AddDate(0, 0, -14),
		"1w2d3h4m":                      now.AddDate(0, 0, -9).Add(-3*time.Hour - 4*time.Minute),
		"1d12h":                         now.Add(-36 * time.Hour),
		"1.5h":                          now.Add(-90 * time.Minute),
		"106751d":                       now.Add(-106751 * 24 * time.Hour),
	} {
		if got, err := ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "d", "w", "3", "3x", "-3d", "3d-1h", "+3h", "-48h", "3d3d", "1d1w", "1.5d", "106752d", "106751d24h", "99999999999999d", "yesterday",
		"2026-13-01", "2026-03-01 12:00", " 3d", "3 d", "3D",
	} {
		if got, err := ParseTime(text, now); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %v, %v, want an ErrInvalid", text, got, err)
		}
	}
}
