package ocilog

import (
	"fmt"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

const (
	maxAhead = 24 * time.Hour // of a revision that no policy verifies
	maxSkew  = time.Hour      // between a writer's clock and the registry's
)

// ClockError says that a writer's clock is not the registry's. Nothing was
// written: a revision with a wrong time is in order before or after others that
// it is not.
type ClockError struct{ Clock, Registry time.Time }

func (e *ClockError) Error() string {
	return fmt.Sprintf("this machine's clock says %s, and the registry's %s", e.Clock.UTC().Format(time.RFC3339), e.Registry.UTC().Format(time.RFC3339))
}

// date returns the registry's time, or zero.
func (l *Log) date() time.Time { return dateOf(l.target) }

// CheckClock returns a *ClockError where the clocks of this machine and the registry are
// too far apart for anything to be written. What the registry's says is known once it has
// answered; nothing is asked.
func (l *Log) CheckClock() error {
	now, date := l.options.Now(), l.date()
	if !date.IsZero() && now.Sub(date).Abs() > maxSkew {
		return &ClockError{now, date}
	}
	return nil
}

// horizon returns the latest time that a tag may have which no policy verifies:
// a day after the later of both clocks (SPEC section 3.2).
func (l *Log) horizon() int64 {
	now, date := l.options.Now(), l.date()
	if date.After(now) {
		now = date
	}
	return now.Add(maxAhead).UnixMilli()
}

// upTo splits tags in log order into those up to the horizon and those beyond.
func upTo(tags []revision.Tag, horizon int64) (within, beyond []revision.Tag) {
	i := len(tags)
	for i > 0 && tags[i-1].Millis > horizon {
		i--
	}
	return tags[:i:i], tags[i:]
}
