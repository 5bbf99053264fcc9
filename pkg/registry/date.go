package registry

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// dates notes what time each host says it is. It is safe for concurrent use.
type dates struct {
	base http.RoundTripper

	mu    sync.Mutex
	hosts map[string]date
}

// date is what a host said, and when by the clock here.
type date struct{ said, at time.Time }

// RoundTrip implements http.RoundTripper.
func (d *dates) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := d.base.RoundTrip(request)
	if err != nil {
		return response, err
	}
	said, failed := http.ParseTime(response.Header.Get("Date"))
	if failed != nil {
		return response, nil
	}
	// A cache in front repeats when the answer was made, and says how old it is.
	if age, failed := strconv.Atoi(response.Header.Get("Age")); failed == nil && age > 0 {
		said = said.Add(time.Duration(age) * time.Second)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if known, ok := d.hosts[request.URL.Host]; !ok || known.said.Add(now.Sub(known.at)).Before(said) {
		d.hosts[request.URL.Host] = date{said, now}
	}
	return response, nil
}

// of returns the time of a host by the latest that it said, or zero.
func (d *dates) of(host string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.hosts[host]
	if !ok {
		return time.Time{}
	}
	return known.said.Add(time.Since(known.at))
}

// Date returns what time the registry says it is; zero before it answered, and
// where it does not say.
func (r *remoteRepository) Date() time.Time { return r.dates.of(r.host) }
