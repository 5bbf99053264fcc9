package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-catalog/caib/internal/testwait"
)

// gate is a transport that counts the requests under way.
type gate struct {
	mu   sync.Mutex
	held map[string]int
}

func (g *gate) RoundTrip(request *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if strings.HasSuffix(request.URL.Path, "/broken") {
		return nil, errors.New("broken")
	}
	g.held[request.URL.Host]++
	return respond(request, 200, strings.NewReader("{}")), nil
}

func (g *gate) count(host string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[host]
}

func get(ctx context.Context, t *testing.T, through http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
	}
	return through.RoundTrip(request)
}

func TestLimiterBoundsEachHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{held: map[string]int{}}
		limiter := newLimiter(g, 2)
		bodies := make(chan io.Closer, 20)
		for range 10 {
			for _, host := range []string{"a", "b"} {
				go func() {
					response, err := get(t.Context(), t, limiter, "http://"+host+"/")
					if err != nil {
						t.Error(err)
						return
					}
					bodies <- response.Body
				}()
			}
		}
		for done := 2; done <= 10; done++ {
			synctest.Wait()
			if a, b := g.count("a"), g.count("b"); a+b != 2*done {
				t.Fatalf("%d and %d requests sent, want %d together", a, b, 2*done)
			}
			if done == 2 && (g.count("a") != 2 || g.count("b") != 2) {
				t.Fatalf("one host's requests wait for another's: %v", g.held)
			}
			for range 2 {
				body := <-bodies
				body.Close()
				body.Close() // closing twice frees one slot only
			}
		}
		for range 2 {
			(<-bodies).Close()
		}
	})
}

func TestLimiterFreesTheSlotOfAFailure(t *testing.T) {
	g := &gate{held: map[string]int{}}
	limiter := newLimiter(g, 1)
	for range 3 {
		if _, err := get(t.Context(), t, limiter, "http://a/broken"); err == nil {
			t.Error("no error")
		}
	}
	response, err := get(t.Context(), t, limiter, "http://a/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

func TestLimiterGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{held: map[string]int{}}
		limiter := newLimiter(g, 1)
		held, err := get(t.Context(), t, limiter, "http://a/")
		if err != nil {
			t.Fatal(err)
		}
		cause := errors.New("enough")
		cancelled, cancel := context.WithCancelCause(t.Context())
		go func() { synctest.Wait(); cancel(cause) }()
		if _, err := get(cancelled, t, limiter, "http://a/"); !errors.Is(err, cause) {
			t.Errorf("cancelled: %v", err)
		}
		late, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := get(late, t, limiter, "http://a/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("too late: %v", err)
		}
		held.Body.Close()
		again, err := get(t.Context(), t, limiter, "http://a/")
		if err != nil || g.count("a") != 2 {
			t.Fatalf("%v after %d requests", err, g.count("a"))
		}
		again.Body.Close()
	})
}

// A client asks with as many requests as it may, and no more.
func TestClientKeepsTheLimit(t *testing.T) {
	const most = 3
	var mu sync.Mutex
	running, peak := 0, 0
	full := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		running++
		if peak = max(peak, running); running == most {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		select { // nobody is answered before the limit is reached
		case <-full:
		case <-r.Context().Done():
		}
		mu.Lock()
		running--
		mu.Unlock()
		answer(w, 200, "application/json", `{"tags":["a"]}`)
	})
	options := quick()
	options.InFlight = most
	repository := open(t, s.host, options)
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			if _, err := repository.Tags(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	testwait.Return(t, "all answers", group.Wait)
	if peak != most {
		t.Errorf("up to %d requests at once, want %d", peak, most)
	}
}
