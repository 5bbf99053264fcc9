package entry

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// timeLayout is the only form of a timestamp in a document (SPEC section 6).
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is a moment in UTC with millisecond precision: the precision of a tag.
// Its JSON form is RFC 3339 with exactly three digits of milliseconds.
type Time struct{ time.Time }

// NewTime cuts t to whole milliseconds, UTC.
func NewTime(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// String returns the JSON form without quotes.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON implements json.Unmarshaler; only the exact form is accepted.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	// time.Parse takes more than the layout shows: single digits, a comma.
	parsed, err := time.Parse(timeLayout, text)
	if err != nil || (Time{parsed}).String() != text {
		return fmt.Errorf("timestamp %s: want the form %s", data, timeLayout)
	}
	t.Time = parsed
	return nil
}
