package e2e

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/e2e/tools"
	"github.com/oci-catalog/caib/internal/testwait"
)

// process is a program that runs until its test ends.
type process struct {
	name  string
	said  said
	ended chan struct{} // closed once it has ended
}

// said records what a program writes, on both its streams.
type said struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(text []byte) (int, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.text.Write(text)
}

func (s *said) String() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.text.String()
}

func startProcess(t testing.TB, program string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(program), ended: make(chan struct{})}
	command := exec.Command(program, args...)
	command.Env, command.Stdout, command.Stderr = tools.Env(t, nil), &p.said, &p.said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		testwait.Receive(t, p.name+" to end", p.ended)
		if text := p.said.String(); t.Failed() {
			t.Logf("%s said last:\n%s", p.name, text[max(0, len(text)-4<<10):])
		}
	})
	return p
}

// ready waits until the program answers a GET of an address with 200. It
// reports false if the program ended instead.
func (p *process) ready(t testing.TB, address string) bool {
	t.Helper()
	client, ended := &http.Client{Timeout: 5 * time.Second}, false
	testwait.Until(t, p.name+" to answer "+address, func() bool {
		if ended = p.hasEnded(); ended {
			return true
		}
		response, err := client.Get(address)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return !ended
}

// listening is what programs say that choose a port themselves.
var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)\n`)

// address waits until the program says where it listens.
func (p *process) address(t testing.TB) string {
	t.Helper()
	var found []string
	testwait.Until(t, p.name+" to say where it listens", func() bool {
		found = listening.FindStringSubmatch(p.said.String())
		return found != nil || p.hasEnded()
	})
	if found == nil {
		t.Fatalf("%s ended before it listened:\n%s", p.name, p.said.String())
	}
	return found[1]
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// attempts bounds how often a program is started on other ports.
const attempts = 3

// startOnPorts starts a program that must be told its ports, the first of which
// answers the path below once it is up, and returns the address of that one.
// Ports that are free now can be taken when the program wants them; then it
// ends, and is started again on others.
func startOnPorts(t testing.TB, program, path string, count int, args func(ports []string) []string) string {
	t.Helper()
	var last *process
	for range attempts {
		ports := freePorts(t, count)
		address := "http://127.0.0.1:" + ports[0]
		last = startProcess(t, program, args(ports)...)
		if last.ready(t, address+path) {
			return address
		}
	}
	t.Fatalf("%s ended %d times before it was up:\n%s", last.name, attempts, last.said.String())
	return ""
}

// freePorts returns so many different ports of the loopback interface that
// nobody listens on.
func freePorts(t testing.TB, count int) []string {
	t.Helper()
	var ports []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports = append(ports, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

// What a test started has ended when the test has.
func TestProcessesEnd(t *testing.T) {
	var s *sigstoreStack
	t.Run("up", func(t *testing.T) { s = startSigstore(t) })
	for name, address := range map[string]string{"fulcio": s.fulcio, "rekor": s.rekor, "timestamps": s.timestamps} {
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if connection, err := net.Dial("tcp", at.Host); err == nil {
			_ = connection.Close()
			t.Errorf("%s still listens on %s after its test", name, at.Host)
		}
	}
}
