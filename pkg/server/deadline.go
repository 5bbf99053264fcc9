package server

import "time"

// deadlineSlack is how much too early a deadline may strike.
const deadlineSlack = time.Second

// deadline is one that is asked for, and the one that the system has.
type deadline struct{ wanted, set time.Time }

// due tells whether the system must hear of the one that is wanted.
func (d *deadline) due() bool {
	if d.wanted.IsZero() || d.set.IsZero() {
		return d.wanted.IsZero() != d.set.IsZero()
	}
	early := d.wanted.Sub(d.set)
	return early < 0 || early > deadlineSlack
}
