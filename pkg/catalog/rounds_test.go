package catalog_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testrounds"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// The budgets of the critical path: how many rounds to the registry a command takes
// one after another, from its start, with new connections.

// registryHost is what every name leads to.
const registryHost = "registry.test"

// wire is a registry behind a network whose rounds are counted.
type wire struct {
	t       *testing.T
	network *testrounds.Network
	token   bool
	sign    *catalog.Signing
	policy  *trust.Policy
	cache   string // of what was read before; "" where a command begins without
	state   string
}

func newWire(t *testing.T, referrers, token bool) *wire {
	var handler http.Handler = ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0)))
	if token {
		handler = tokenService(handler)
	}
	w := &wire{t: t, network: testrounds.New(t, handler), token: token, sign: team(t), cache: t.TempDir(), state: t.TempDir()}
	w.policy = trusting(t, w.sign)
	return w
}

// tokenService wants of each request a token, which says what it allows.
func tokenService(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprintf(w, `{"token": %q}`, strings.Join(r.URL.Query()["scope"], " "))
			return
		}
		repository, action := repositoryOf(r.URL.Path), "pull"
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			action = "pull,push"
		}
		granted := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		for scope := range strings.FieldsSeq(granted) {
			if scope == "repository:"+repository+":"+action || scope == "repository:"+repository+":pull,push" {
				next.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test",scope="repository:%s:%s"`, registryHost, repository, action))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	})
}

// repositoryOf is the repository that a path of the API is in.
func repositoryOf(path string) string {
	path = strings.TrimPrefix(path, "/v2/")
	for _, part := range []string{"/blobs/", "/manifests/", "/referrers/", "/tags/"} {
		if at := strings.LastIndex(path, part); at >= 0 {
			return path[:at]
		}
	}
	return path
}

// client is that of a new process.
func (w *wire) client(protocol testrounds.Protocol) *registry.Client {
	w.t.Helper()
	client, err := registry.New(registry.Options{
		Transport: w.network.Transport(protocol),
		PlainHTTP: func(string) bool { return true },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func (w *wire) open(protocol testrounds.Protocol, options catalog.Options) *catalog.Catalog {
	w.t.Helper()
	options.Registry = w.client(protocol)
	c, err := catalog.Open(registryHost+"/team/catalog", options)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// push pushes an image of one or two platforms.
func (w *wire) push(repository, tag string, architectures ...string) string {
	w.t.Helper()
	image := registryHost + "/" + repository + ":" + tag
	to, err := w.client(testrounds.HTTP1).Open(parse(w.t, image))
	if err == nil {
		_, err = samples.Bootc(w.t.Context(), to, tag, samples.Build{
			Distro: "autosd", Target: "rpi4", Architectures: architectures, Version: tag,
			Created: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return image
}

// publish publishes a new image of one platform, by a process of its own.
func (w *wire) publish(name string, options catalog.PublishOptions) string {
	w.t.Helper()
	image := w.push("os/"+name, "1", "arm64")
	options.Name = name
	if _, err := w.open(testrounds.HTTP1, catalog.Options{CacheDir: w.cache, StateDir: w.state}).Publish(w.t.Context(), image, options); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Minute) // what comes next is not beside it
	return image
}
