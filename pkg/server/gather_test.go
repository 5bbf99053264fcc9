package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oci-catalog/caib/pkg/server"
)

// counting counts the writes of its connections.
type counting struct {
	net.Listener
	writes *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.writes}, err
}

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
	s.Listener = server.Gather(s.Config, counting{s.Listener, writes})
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
