package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/registry"
)

// fake is a registry in this process, and what the tests do to it.
type fake struct {
	host   string
	server *httptest.Server

	mu      sync.Mutex
	writes  []string // requests that change something, since the last look
	refusal *refusal
	arrived func()        // called at the next request, once
	first   chan struct{} // closed at the first request
	once    sync.Once
}

// refusal answers some requests in the registry's place.
type refusal struct {
	method, part string // part of the path; "*" is any method
	status       int
	body         string
}

// before is the fake's part of an answer; it reports whether the registry has
// nothing more to do.
func (f *fake) before(w http.ResponseWriter, r *http.Request) bool {
	f.once.Do(func() { close(f.first) })
	f.mu.Lock()
	arrived, refusal := f.arrived, f.refusal
	f.arrived = nil
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		f.writes = append(f.writes, r.Method+" "+r.URL.Path)
	}
	f.mu.Unlock()
	if arrived != nil {
		arrived()
		<-r.Context().Done()
		return true
	}
	if refusal == nil || (refusal.method != "*" && refusal.method != r.Method) || !strings.Contains(r.URL.Path, refusal.part) {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(refusal.status)
	_, _ = io.WriteString(w, refusal.body)
	return true
}

func (f *fake) onRequest(arrived func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = arrived
}

func (f *fake) start(handler http.Handler, secure bool) {
	handled := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil // the clocks of the tests are of other days
		if !f.before(w, r) {
			handler.ServeHTTP(w, r)
		}
	})
	f.first = make(chan struct{})
	f.server = httptest.NewUnstartedServer(handled)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		f.server.StartTLS()
	} else {
		f.server.Start()
	}
	f.host = f.server.Listener.Addr().String()
}

// newRegistry is go-containerregistry's.
func newRegistry(referrers bool) http.Handler {
	return ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0)))
}

// startRegistry runs a registry for a Go test.
func startRegistry(t *testing.T) *fake {
	f := &fake{}
	f.start(newRegistry(true), false)
	t.Cleanup(f.server.Close)
	return f
}

// behind lets only the user alice with the password s3cret through.
func behind(login http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "alice" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
			return
		}
		login.ServeHTTP(w, r)
	})
}

// cmdRegistry is `registry NAME [no-referrers] [login] [tls]`: $NAME is the
// host afterwards, and $WORK/NAME.pem its certificate authority. A registry
// with a login knows alice, whose password is s3cret.
func cmdRegistry(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: registry NAME [no-referrers] [login] [tls]")
	}
	handler := newRegistry(!slices.Contains(args, "no-referrers"))
	if slices.Contains(args, "login") {
		handler = behind(handler)
	}
	f := &fake{}
	f.start(handler, slices.Contains(args, "tls"))
	f.enter(ts, args[0])
	if certificate := f.server.Certificate(); certificate != nil {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), text, 0o666))
	}
}

func (f *fake) enter(ts *testscript.TestScript, name string) {
	ts.Defer(f.server.Close)
	worldOf(ts).registries[name] = f
	ts.Setenv(name, f.host)
}

func fakeOf(ts *testscript.TestScript, name string) *fake {
	f := worldOf(ts).registries[name]
	if f == nil {
		ts.Fatalf("no registry %s", name)
	}
	return f
}

// cmdStub is `stub NAME KIND`: a server that is no working registry.
func cmdStub(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: stub NAME KIND")
	}
	ended := make(chan struct{})
	kinds := map[string]http.HandlerFunc{
		"login": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"silent": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		},
		"html": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Welcome</html>")
		},
		"closed": func(http.ResponseWriter, *http.Request) {},
	}
	handler, ok := kinds[args[1]]
	if !ok {
		ts.Fatalf("no stub of kind %s", args[1])
	}
	f := &fake{}
	f.start(handler, false)
	f.enter(ts, args[0])
	ts.Defer(func() { close(ended) })
	if args[1] == "closed" {
		f.server.Close()
	}
}

// cmdArrived is `arrived NAME`: it returns once a request has reached NAME.
func cmdArrived(ts *testscript.TestScript, _ bool, args []string) {
	testwait.Receive(inScript{ts}, "a request", fakeOf(ts, one(ts, args)).first)
}

// cmdRefuse is `refuse NAME METHOD PART STATUS [BODY-FILE]`: the registry
// answers matching requests with an error; `refuse NAME` ends that.
func cmdRefuse(ts *testscript.TestScript, _ bool, args []string) {
	f := fakeOf(ts, args[0])
	var next *refusal
	if len(args) > 1 {
		status, err := strconv.Atoi(args[3])
		ts.Check(err)
		next = &refusal{method: args[1], part: args[2], status: status, body: `{"errors":[{"code":"TEST","message":"refused by the test"}]}`}
		if len(args) > 4 {
			next.body = ts.ReadFile(args[4])
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusal = next
}

// cmdWrites is `writes NAME`: the requests that changed something since the
// last look, on standard output.
func cmdWrites(ts *testscript.TestScript, _ bool, args []string) {
	out := ts.Stdout()
	for _, line := range fakeOf(ts, one(ts, args)).takeWrites() {
		fmt.Fprintln(out, line)
	}
}

// takeWrites returns the requests that changed something since the last call.
func (f *fake) takeWrites() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	writes := f.writes
	f.writes = nil
	return writes
}

func openRepository(reference string) (registry.Repository, registry.Reference, error) {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil, ref, err
	}
	client, err := registry.New(registry.Options{Attempts: 1})
	if err != nil {
		return nil, ref, err
	}
	repository, err := client.Open(ref)
	return repository, ref, err
}

// cmdTags is `tags REPOSITORY`: its tags, sorted, on standard output.
func cmdTags(ts *testscript.TestScript, _ bool, args []string) {
	repository, _, err := openRepository(one(ts, args))
	ts.Check(err)
	tags, err := repository.Tags(context.Background())
	ts.Check(err)
	slices.Sort(tags)
	out := ts.Stdout()
	for _, tag := range tags {
		fmt.Fprintln(out, tag)
	}
}

// cmdPush is `push bootc|disk REF [distro=D] [target=T] [arch=A,B] [version=V]`:
// a sample image, built an hour before; $DIGEST is its digest afterwards.
func cmdPush(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: push bootc|disk REF KEY=VALUE...")
	}
	w := worldOf(ts)
	build := samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64"}, Version: "1",
		Created: w.clock.Add(-time.Hour),
	}
	for _, arg := range args[2:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "distro":
			build.Distro = value
		case "target":
			build.Target = value
		case "arch":
			build.Architectures = strings.Split(value, ",")
		case "version":
			build.Version = value
		case "created":
			at, err := time.Parse(time.RFC3339, cmp.Or(value, "0001-01-01T00:00:00Z"))
			ts.Check(err)
			build.Created = at
		default:
			ts.Fatalf("push: unknown %q", arg)
		}
	}
	d, err := pushSample(args[0], args[1], build)
	ts.Check(err)
	ts.Setenv("DIGEST", d.Digest.String())
	for _, f := range w.registries {
		f.takeWrites() // the test's own are no finding
	}
}

// attach IMAGE TYPE TITLE attaches a file to an image.
func cmdAttach(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: attach IMAGE TYPE TITLE")
	}
	repository, ref, err := openRepository(args[0])
	ts.Check(err)
	_, err = samples.Attach(context.Background(), repository, ref.Tag, args[1], args[2], []byte(args[2]))
	ts.Check(err)
	for _, f := range worldOf(ts).registries {
		f.takeWrites()
	}
}

func pushSample(kind, reference string, build samples.Build) (ocispec.Descriptor, error) {
	repository, ref, err := openRepository(reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	switch kind {
	case "bootc":
		return samples.Bootc(context.Background(), repository, ref.Tag, build)
	case "disk":
		return samples.Disk(context.Background(), repository, ref.Tag, build)
	}
	return ocispec.Descriptor{}, fmt.Errorf("no sample of kind %s", kind)
}

// forge writes a revision past every check of a well-meaning writer. The
// manifest names its document rightly, and the tag names the manifest, whatever
// the document says.
func forge(reference, artifactType string, document []byte, annotations map[string]string) error {
	ctx := context.Background()
	var said struct {
		Name        string    `json:"name"`
		PublishedAt time.Time `json:"publishedAt"`
	}
	if err := json.Unmarshal(document, &said); err != nil {
		return err
	}
	repository, _, err := openRepository(reference)
	if err != nil {
		return err
	}
	for _, blob := range [][]byte{ocispec.DescriptorEmptyJSON.Data, document} {
		d := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(blob), Size: int64(len(blob))}
		if err := repository.PushBlob(ctx, d, blob); err != nil {
			return err
		}
	}
	manifest, err := craft(artifactType, document, annotations)
	if err != nil {
		return err
	}
	d := describe(manifest)
	return repository.PushManifest(ctx, d, manifest, publishTag(said.Name, said.PublishedAt, d.Digest))
}

// cmdLogin is `login HOST USER PASSWORD FILE`: a credentials file in docker's
// format.
func cmdLogin(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: login HOST USER PASSWORD FILE")
	}
	secret := base64.StdEncoding.EncodeToString([]byte(args[1] + ":" + args[2]))
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, args[0], secret)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(text), 0o666))
}
