package health

import (
	"container/heap"
	"hash/fnv"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	defaultInterval = time.Hour
	defaultRetry    = 5 * time.Minute
	minInterval     = time.Minute
	maxInterval     = 30 * 24 * time.Hour
	// intervalLabel overrides the interval of one entry.
	intervalLabel = "verification-interval"
)

// interval is how often an item is probed while nothing is wrong with it. A
// label that is no duration, or one out of bounds, changes nothing.
func (m *Monitor) interval(item *entry.Item) time.Duration {
	if text, ok := item.Labels[intervalLabel]; ok {
		if own, err := time.ParseDuration(text); err == nil && own >= minInterval && own <= maxInterval {
			return own
		}
	}
	return m.options.Interval
}

// next is when the probe after a given time is due. The times of an entry are
// a whole number of intervals apart, shifted by a part of it that its name
// decides: so those of a catalog spread evenly, and those of two processes
// fall together. An entry whose registry did not answer is due after the
// retry, doubled with each further failure up to the interval.
func (m *Monitor) next(w *watched, from time.Time) time.Time {
	step, status := w.subject.interval, &w.status
	if status.Phase == entry.PhaseUnavailable {
		step = min(step, m.options.Retry<<min(max(status.Failures-1, 0), 16))
	}
	return nextSlot(w.subject.key.Name, step, from)
}

func nextSlot(name string, step time.Duration, from time.Time) time.Time {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name))
	shift := time.Duration(mix(sum.Sum64()) % uint64(step)).Truncate(time.Millisecond)
	first := time.UnixMilli(0).UTC().Add(shift)
	return first.Add((from.Sub(first)/step + 1) * step)
}

// mix spreads what names that differ in their last letter only have in common.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// queue holds the entries by when they are due. It implements heap.Interface.
type queue []*watched

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	w := x.(*watched)
	w.index = len(*q)
	*q = append(*q, w)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	w.index = -1
	return w
}

// reschedule puts an entry where its due time belongs. The caller holds the
// lock.
func (m *Monitor) reschedule(w *watched, due time.Time) {
	w.due = due
	if w.index >= 0 {
		heap.Fix(&m.queue, w.index)
	} else {
		heap.Push(&m.queue, w)
	}
}
