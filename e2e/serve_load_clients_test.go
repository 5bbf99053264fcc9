package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
)

const (
	crowdSize  = 1000
	crowdPause = 100 * time.Millisecond
)

// question is a path, and what must be in each answer.
type question struct{ path, must string }

// questions are the three things that a crowd asks of a catalog that fill made.
// The images are in no registry: phases are those of probes that fail.
func questions(entries int) []question {
	return []question{
		{"/v1/catalog/images?limit=20&latest=false&phase=all", `"total":` + strconv.Itoa(entries)},
		{"/v1/catalog/images?target=rpi4&tags=nightly&latest=false&phase=all&limit=20", `"total":` + strconv.Itoa((entries+1)/3)},
		{"/v1/catalog/images/autosd-rpi4-00001", `{"name":"autosd-rpi4-00001",`},
	}
}

// crowd is 1,000 clients that ask a server ten times a second each, on a
// connection of their own, and check every answer.
type crowd struct {
	t     *testing.T
	asks  []question
	stop  context.CancelFunc
	done  sync.WaitGroup
	wrong atomic.Int64
	mu    sync.Mutex
	took  []time.Duration
}

func newCrowd(t *testing.T, url string, asks []question) *crowd {
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{t: t, asks: asks, stop: cancel}
	for n := range crowdSize {
		c.done.Go(func() { c.client(ctx, strings.TrimPrefix(url, "http://"), n) })
	}
	return c
}

// client asks until the crowd ends, or an answer is wrong.
func (c *crowd) client(ctx context.Context, host string, n int) {
	connection, err := net.Dial("tcp", host)
	if err != nil {
		c.fail(err)
		return
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	turn := time.NewTimer(crowdPause * time.Duration(n) / crowdSize)
	defer turn.Stop()
	for i := n; ; i++ {
		select {
		case <-ctx.Done():
			if i > n { // each asks once, however busy the machine is
				return
			}
		case <-turn.C:
		}
		begun := time.Now()
		_ = connection.SetDeadline(begun.Add(testwait.Limit))
		if err := ask(connection, reader, host, c.asks[i%len(c.asks)]); err != nil {
			c.fail(err)
			return
		}
		took := time.Since(begun)
		c.mu.Lock()
		c.took = append(c.took, took)
		c.mu.Unlock()
		turn.Reset(crowdPause)
	}
}

func (c *crowd) fail(err error) {
	if c.wrong.Add(1) < 5 {
		c.t.Errorf("a client: %v", err)
	}
}

func ask(to io.Writer, reader *bufio.Reader, host string, q question) error {
	if _, err := io.WriteString(to, "GET "+q.path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(q.must)) {
		return fmt.Errorf("%s: %s, %d bytes that lack %s, error %v", q.path, response.Status, len(text), q.must, err)
	}
	return nil
}

// answered returns how many answers came since the last call of taken.
func (c *crowd) answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.took)
}

// taken returns how many answers came since the last call, and the 99th
// percentile of the time that they took.
func (c *crowd) taken() (count int, p99 time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.took)
	if count = len(c.took); count > 0 {
		p99 = c.took[count*99/100]
	}
	c.took = nil
	return count, p99
}

// end ends the crowd; nobody may have left before.
func (c *crowd) end() {
	c.t.Helper()
	c.stop()
	testwait.Return(c.t, "the crowd to end", c.done.Wait)
	if wrong := c.wrong.Load(); wrong > 0 {
		c.t.Errorf("%d of %d clients met something wrong", wrong, crowdSize)
	}
}

// resources are what a server says that it holds: goroutines, open files, and
// resident bytes.
type resources struct{ goroutines, files, resident int }

var resourceLine = regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds|process_resident_memory_bytes) (\S+)$`)

func (w *world) resources(url string) (r resources) {
	w.t.Helper()
	fields := map[string]*int{"go_goroutines": &r.goroutines, "process_open_fds": &r.files, "process_resident_memory_bytes": &r.resident}
	for _, found := range resourceLine.FindAllSubmatch(fetch(w.t, url+"/metrics"), -1) {
		value, err := strconv.ParseFloat(string(found[2]), 64)
		if err != nil {
			w.t.Fatal(err)
		}
		*fields[string(found[1])] = int(value)
	}
	if r.goroutines == 0 || r.resident == 0 {
		w.t.Fatalf("the metrics say %+v", r)
	}
	return r
}

// asBefore waits until a server holds no more than before.
func (w *world) asBefore(url string, before resources) {
	w.t.Helper()
	w.eventually("as few goroutines and files as before", func() bool {
		now := w.resources(url)
		return now.goroutines <= before.goroutines+10 && now.files <= before.files+10
	})
}
