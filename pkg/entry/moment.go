package entry

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a moment as people give it: a time of RFC 3339, a date (its
// beginning, UTC), or an age, which is how long before now: durations of package
// time, and before them days and weeks (90m, 36h, 3d, 2w, 1d12h). The error is an
// ErrInvalid.
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if age, ok := parseAge(text); ok {
		return now.Add(-age), nil
	}
	return time.Time{}, fmt.Errorf("%w: want a time such as 2026-03-01T12:00:00Z, a date such as 2026-03-01, or an age such as 3d or 48h", ErrInvalid)
}

// parseAge reads a duration that is not negative. One that is too long for its
// type is none.
func parseAge(text string) (age time.Duration, ok bool) {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		letter string
		long   time.Duration
	}{{"w", 7 * day}, {"d", day}} {
		count, rest, found := strings.Cut(text, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil || time.Duration(n) > (math.MaxInt64-age)/unit.long {
			return 0, false
		}
		age, text = age+time.Duration(n)*unit.long, rest
		if text == "" {
			return age, true
		}
	}
	rest, err := time.ParseDuration(text)
	if err != nil || rest < 0 || strings.HasPrefix(text, "+") || rest > math.MaxInt64-age {
		return 0, false
	}
	return age + rest, true
}
