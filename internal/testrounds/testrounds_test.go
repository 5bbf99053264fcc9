package testrounds_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/oci-catalog/caib/internal/testrounds"
)

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		name        string
		protocol    testrounds.Protocol
		inTurn      int // requests, each of which waits for the one before
		beside      int // then requests beside each other
		want        float64
		connections int
	}{
		{"one request", testrounds.HTTP1, 1, 0, 2, 1},
		{"three in turn", testrounds.HTTP1, 3, 0, 4, 1},
		{"five beside each other, on connections of their own", testrounds.HTTP1, 0, 5, 2, 5},
		{"one, then others beside it, one of them on its connection", testrounds.HTTP1, 1, 5, 4, 5},
		{"one request", testrounds.HTTP2, 1, 0, 2, 1},
		{"one, then others on its connection", testrounds.HTTP2, 1, 5, 3, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := testrounds.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					_, _ = w.Write(body)
				}))
				client := &http.Client{Transport: network.Transport(tt.protocol)}
				ask := func() {
					response, err := client.Post("http://registry.test/echo", "text/plain", strings.NewReader("hello"))
					if err != nil {
						t.Error(err)
						return
					}
					defer response.Body.Close()
					if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello" {
						t.Errorf("echo: %q, %v", body, err)
					}
				}
				got := network.Count(func() {
					for range tt.inTurn {
						ask()
					}
					var group sync.WaitGroup
					for range tt.beside {
						group.Go(ask)
					}
					group.Wait()
				})
				if got != tt.want {
					t.Errorf("%.2f rounds, want %.2f\n%s", got, tt.want, network.Trace())
				}
				if requests := network.Requests(); requests != tt.inTurn+tt.beside {
					t.Errorf("%d requests, want %d", requests, tt.inTurn+tt.beside)
				}
				if connections := strings.Count(network.Trace(), "connected"); connections != tt.connections {
					t.Errorf("%d connections, want %d", connections, tt.connections)
				}
			})
		})
	}
}
