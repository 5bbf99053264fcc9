package registry

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// maxDates bounds the answers of a host that its time is taken from.
	maxDates = 9
	// maxAge bounds how old an answer may say it is. A cache that keeps one for
	// longer, or says so, does not tell what time it is.
	maxAge = 24 * time.Hour
	// maxWrong bounds how far a clock can be off. A machine without a battery
	// believes in 1970; nothing believes in the year 9999.
	maxWrong = 100 * 365 * 24 * time.Hour
)

// dates notes what time each host says it is: the median of its last answers.
// One odd answer among several then counts for nothing, and one that was the
// first is outvoted by those that follow; the latest ever said would stand for
// ever, and the last one said is what any cache repeats. Content that is asked
// for by its digest is what caches repeat most, and is not listened to. It is
// safe for concurrent use.
type dates struct {
	base http.RoundTripper

	mu    sync.Mutex // held where an answer is added
	hosts *lru.Cache[string, date]
}

// date is what the last answers of a host said, the oldest first.
type date []said

// said is a time that an answer said, and when by the clock here.
type said struct{ time, at time.Time }

// now is what an answer's time has become.
func (s said) now(here time.Time) time.Time { return s.time.Add(here.Sub(s.at)) }

// RoundTrip implements http.RoundTripper.
func (d *dates) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := d.base.RoundTrip(request)
	if err != nil || isDigest(path.Base(request.URL.Path)) {
		return response, err
	}
	here := time.Now()
	if there, ok := answered(response.Header); ok && there.Sub(here).Abs() <= maxWrong {
		d.mu.Lock()
		defer d.mu.Unlock()
		last, _ := d.hosts.Get(request.URL.Host)
		d.hosts.Add(request.URL.Host, append(slices.Clone(last[max(0, len(last)+1-maxDates):]), said{there, here}))
	}
	return response, nil
}

// answered is when an answer was sent by the clock of who sent it. A cache in
// front repeats when the answer was made, and says how old it is.
func answered(header http.Header) (time.Time, bool) {
	made, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}, false
	}
	age, err := strconv.ParseInt(header.Get("Age"), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && time.Duration(age) > maxAge/time.Second:
		return time.Time{}, false
	case err == nil && age > 0:
		made = made.Add(time.Duration(age) * time.Second)
	}
	return made, true
}

// of returns the time of a host, or zero. Of an even number of answers, the two
// in the middle being as good as each other, it is the one nearer to the clock
// here.
func (d *dates) of(host string) time.Time {
	here := time.Now()
	last, _ := d.hosts.Get(host)
	var times []time.Time
	for _, s := range last {
		times = append(times, s.now(here))
	}
	if len(times) == 0 {
		return time.Time{}
	}
	slices.SortFunc(times, time.Time.Compare)
	low, high := times[(len(times)-1)/2], times[len(times)/2]
	if low.Sub(here).Abs() < high.Sub(here).Abs() {
		return low
	}
	return high
}

// Date returns what time the registry says it is; zero before it answered, and
// where it does not say.
func (r *remoteRepository) Date() time.Time { return r.dates.of(r.host) }
