package faultproxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/e2e/registries"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// bench is a proxy before a registry, and a plain client of it that follows no
// redirects and opens a connection for each request.
type bench struct {
	t        *testing.T
	proxy    *Proxy
	upstream string
	client   *http.Client
}

func newBench(t *testing.T, faults Faults) *bench {
	t.Helper()
	upstream := registries.GGCR(t, true).Host
	return &bench{t, New(t, upstream, faults), upstream, &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is what came back, as far as it came.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the exchange, or of reading the body
}

func (b *bench) do(method, path, contentType, body string) reply {
	b.t.Helper()
	return b.at(b.proxy.Host, method, path, contentType, body)
}

func (b *bench) at(host, method, path, contentType, body string) reply {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	var read bytes.Buffer
	_, err = io.Copy(&read, io.LimitReader(response.Body, 1<<20))
	return reply{response.StatusCode, response.Header, read.String(), err}
}

func (b *bench) get(path string) reply { b.t.Helper(); return b.do(http.MethodGet, path, "", "") }

// upload pushes a blob by POST and PUT, and returns its digest.
func (b *bench) upload(content string) string {
	b.t.Helper()
	started := b.do(http.MethodPost, "/v2/r/blobs/uploads/", "", "")
	location := started.header.Get("Location")
	if started.status != http.StatusAccepted || location == "" {
		b.t.Fatalf("start of an upload: %+v", started)
	}
	if rest, ok := strings.CutPrefix(location, "http://"+b.proxy.Host); ok {
		location = rest
	} else if !strings.HasPrefix(location, "/") {
		b.t.Fatalf("the upload goes on past the proxy, at %s", location)
	}
	sum := digest(content)
	if r := b.do(http.MethodPut, location+"?digest="+sum, "application/octet-stream", content); r.status != http.StatusCreated {
		b.t.Fatalf("upload: %+v", r)
	}
	return sum
}

// manifest is an image manifest without layers; fields are added to it as they
// are.
func (b *bench) manifest(fields string) string {
	b.t.Helper()
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]%s}`,
		manifestType, b.upload("{}"), fields)
}

func (b *bench) put(tag, manifest string) reply {
	b.t.Helper()
	return b.do(http.MethodPut, "/v2/r/manifests/"+tag, manifestType, manifest)
}

// tagged puts one manifest at each tag, and returns it.
func (b *bench) tagged(tags ...string) string {
	b.t.Helper()
	manifest := b.manifest("")
	for _, tag := range tags {
		if r := b.put(tag, manifest); r.status != http.StatusCreated {
			b.t.Fatalf("put %s: %+v", tag, r)
		}
	}
	return manifest
}

// want fails the test unless a reply came with the given status, whole.
func (b *bench) want(status int, r reply) reply {
	b.t.Helper()
	if r.err != nil || r.status != status {
		b.t.Errorf("status %d, error %v, want %d: %s", r.status, r.err, status, r.body)
	}
	return r
}

func digest(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }
