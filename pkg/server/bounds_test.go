package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/internal/health"
)

// What grows with the names and hosts that are asked for has an end.
func TestThrottleAndLabelsAreBounded(t *testing.T) {
	throttle := newThrottle(time.Hour)
	key := func(n int) health.Key { return health.Key{Name: fmt.Sprint("entry-", n)} }
	for n := range maxThrottled {
		if wait := throttle.wait(key(n)); wait != 0 {
			t.Fatalf("entry %d has to wait %s, want 0s", n, wait)
		}
	}
	if wait := throttle.wait(key(maxThrottled)); wait == 0 || len(throttle.last) > maxThrottled {
		t.Errorf("one entry more has to wait %s, and %d are remembered; want some time, and %d", wait, len(throttle.last), maxThrottled)
	}
	throttle.every = 0 // all had their time
	if wait := throttle.wait(key(maxThrottled)); wait != 0 || len(throttle.last) != 1 {
		t.Errorf("afterwards it has to wait %s, and %d are remembered; want 0s, and 1", wait, len(throttle.last))
	}
	labels := hostLabels{known: map[string]bool{}}
	for n := range 3 * maxHosts {
		labels.label(fmt.Sprintf("r%d.example.com", n))
	}
	if len(labels.known) != maxHosts || labels.label("another.example.com") != otherHosts {
		t.Errorf("%d registries have labels, want %d, and one for the others", len(labels.known), maxHosts)
	}
}
