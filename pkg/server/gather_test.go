package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/server"
)

// wrapping is a listener whose connections a test looks into.
type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// countingConn counts the writes.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// gathered runs the world's server on a gathering listener.
func (w *world) gathered() (writes *atomic.Int64) {
	writes = &atomic.Int64{}
	s := httptest.NewUnstartedServer(w.server)
	s.Listener = server.Gather(s.Config, wrapping{s.Listener, func(c net.Conn) net.Conn { return countingConn{c, writes} }})
	s.Start()
	w.t.Cleanup(s.Close)
	w.url = s.URL
	return writes
}

// Answers of every size arrive whole, and in one write where that is worth it.
func TestAnswersLeaveAtOnce(t *testing.T) {
	w := newWorld(t)
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("image-%02d", i))
	}
	w.publish(all...)
	w.startReady(nil)
	plain := w.url
	writes := w.gathered()
	gathering := w.url
	for limit := 1; limit <= 60; limit++ {
		path := fmt.Sprintf("/v1/catalog/images?limit=%d", limit)
		w.url = plain
		want := w.ask("GET", path, "")
		w.url = gathering
		before := writes.Load()
		got := w.ask("GET", path, "")
		if string(got.body) != string(want.body) {
			t.Fatalf("limit %d: %d bytes of %d", limit, len(got.body), len(want.body))
		}
		if n := writes.Load() - before; n != 1 && len(want.body) < 40<<10 {
			t.Errorf("an answer of %d bytes left in %d writes", len(want.body), n)
		}
		if a := w.ask("HEAD", path, ""); a.status != 200 || len(a.body) != 0 {
			t.Errorf("HEAD: %d, %d bytes", a.status, len(a.body))
		}
		if a := w.ask("GET", path, "", "If-None-Match: "+got.header.Get("ETag")); a.status != 304 {
			t.Errorf("conditional: %d", a.status)
		}
	}
}

// Requests that are sent without waiting are answered in order, and so is the
// last one before a connection ends.
func TestPipelinedRequests(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	w.gathered()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var requests strings.Builder
	for range 20 {
		requests.WriteString("GET /v1/catalog/images HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/catalog/images/b HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	requests.WriteString("GET /v1/catalog/images HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if _, err := io.WriteString(conn, requests.String()); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for n := range 41 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", n, err)
		}
		text, err := io.ReadAll(response.Body)
		if wantList := n%2 == 0; err != nil || strings.Contains(string(text), `"total":3`) != wantList {
			t.Fatalf("answer %d: %v\n%s", n, err, text)
		}
	}
	if _, err := reader.ReadByte(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}

// Events are not held back.
func TestEventsAreNotHeldBack(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "b", "c")
	w.startReady(nil)
	w.gathered()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	response, err := client.Get(w.url + "/v1/catalog/images")
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	listener := w.listen("")
	w.publish("d")
	if got := listener.next(t); !strings.Contains(got, `"name":"d"`) {
		t.Errorf("told: %q", got)
	}
}

// A client that goes away in the middle ends nothing but its own connection.
func TestGatheringForClientsThatGoAway(t *testing.T) {
	w := newWorld(t)
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("image-%02d", i))
	}
	w.publish(all...)
	w.startReady(nil)
	w.gathered()
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "GET /v1/catalog/images?limit=25 HTTP/1.1\r\nHost: x\r\n\r\n")
			conn.Close()
		})
	}
	clients.Wait()
	if got := w.list("?limit=25"); len(got.Items) != 25 {
		t.Errorf("%d items", len(got.Items))
	}
}

// pair is a gathered connection and its peer.
func pair(t *testing.T, wrap func(net.Conn) net.Conn) (c, peer net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if peer, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		listener = wrapping{listener, wrap}
	}
	if c, err = server.Gather(&http.Server{}, listener).Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer
}

const soon = 50 * time.Millisecond

// beginningConn tells when a read begins.
type beginningConn struct {
	net.Conn
	reads chan struct{}
}

func (b beginningConn) Read(p []byte) (int, error) {
	select {
	case b.reads <- struct{}{}:
	default:
	}
	return b.Conn.Read(p)
}

// Deadlines of reads end those that wait, in whichever order they come.
func TestReadDeadlinesHold(t *testing.T) {
	reads := make(chan struct{})
	c, peer := pair(t, func(c net.Conn) net.Conn { return beginningConn{c, reads} })
	read := func() error { _, err := c.Read(make([]byte, 1)); return err }
	set := func(at time.Time) {
		t.Helper()
		if err := c.SetReadDeadline(at); err != nil {
			t.Fatal(err)
		}
	}
	for _, before := range []time.Duration{0, time.Hour, time.Minute} {
		set(time.Time{})
		if before > 0 {
			set(time.Now().Add(before))
		}
		_, _ = io.WriteString(peer, "x")
		if err := read(); err != nil {
			t.Errorf("with %v: %v", before, err)
		}
		set(time.Now().Add(soon))
		begun := time.Now()
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) > 10*time.Second {
			t.Errorf("after %v: %v in %s", before, err, time.Since(begun))
		}
	}
	set(time.Unix(1, 0))
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with one that is past: %v", err)
	}
	for _, wait := range []time.Duration{-time.Hour, soon} {
		set(time.Time{})
		ended := make(chan error)
		go func() { ended <- read() }()
		<-reads
		set(time.Now().Add(wait))
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("while it waits: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("what waits does not hear of a deadline")
		}
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(peer, "x")
	if err := read(); err != nil {
		t.Errorf("without one: %v", err)
	}
}

// A write that nobody takes ends with its deadline, and a new deadline is a new
// chance.
func TestWriteDeadlinesHold(t *testing.T) {
	c, peer := pair(t, nil)
	fill := func() (err error) {
		for err == nil {
			_, err = c.Write(make([]byte, 1<<20))
		}
		return err
	}
	for _, before := range []time.Time{{}, time.Now().Add(time.Hour)} {
		_ = c.SetWriteDeadline(before)
		if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if err := fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %v: %v", before, err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	for _, at := range []time.Time{{}, time.Now().Add(time.Minute)} {
		_ = c.SetWriteDeadline(time.Unix(1, 0))
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("with one that is past: %v", err)
		}
		_ = c.SetWriteDeadline(at)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("with %v: %v", at, err)
		}
	}
}

// datedConn counts the deadlines that are set.
type datedConn struct {
	net.Conn
	deadlines *atomic.Int64
}

func (d datedConn) SetReadDeadline(t time.Time) error {
	d.deadlines.Add(1)
	return d.Conn.SetReadDeadline(t)
}

func (d datedConn) SetWriteDeadline(t time.Time) error {
	d.deadlines.Add(1)
	return d.Conn.SetWriteDeadline(t)
}

// Of the deadlines of many requests, as the HTTP server sets them, few reach the
// system: one of each kind in the time that a deadline may be early.
func TestFewDeadlinesAreSet(t *testing.T) {
	var deadlines atomic.Int64
	c, peer := pair(t, func(c net.Conn) net.Conn { return datedConn{c, &deadlines} })
	check := func(_ int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	begun, one := time.Now(), make([]byte, 1)
	for range 500 {
		check(0, c.SetReadDeadline(time.Now().Add(2*time.Minute)))
		check(io.WriteString(peer, "q"))
		check(c.Read(one))
		check(0, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		check(0, c.SetReadDeadline(time.Now().Add(time.Minute)))
		check(0, c.SetWriteDeadline(time.Now().Add(time.Minute)))
		check(0, c.SetReadDeadline(time.Unix(1, 0)))
		if _, err := c.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a read that begins when it is to end: %v", err)
		}
		check(0, c.SetReadDeadline(time.Time{}))
		check(io.WriteString(c, "a"))
		check(0, c.SetWriteDeadline(time.Time{}))
		check(peer.Read(one))
	}
	if n, want := deadlines.Load(), 2*(2+int64(time.Since(begun)/time.Second)); n > want {
		t.Errorf("%d deadlines for 500 requests, want at most %d", n, want)
	}
}
