package registries

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
)

// facts are what a registry shows at the wire. Clients meet each combination
// in the field; a new version that changes one is seen here first.
type facts struct {
	SubjectHeader bool // a push with a subject is answered with OCI-Subject
	Referrers     int  // status of the Referrers API
	PagesTags     bool // n=1 gives one tag and a Link
	DeleteTag     int  // status of DELETE by tag
	DeleteDigest  int  // status of DELETE by digest
	TagAfter      int  // status of GET by a tag of the digest that was deleted
	ListedAfter   bool // such a tag is still in the tag list
}

func TestRegistriesAreWhatTheySay(t *testing.T) {
	want := map[string]facts{
		"distribution-3.1":          {Referrers: 404, PagesTags: true, DeleteTag: 202, DeleteDigest: 202, TagAfter: 404},
		"distribution-3.1-nodelete": {Referrers: 404, PagesTags: true, DeleteTag: 405, DeleteDigest: 405, TagAfter: 200, ListedAfter: true},
		"distribution-2.8":          {Referrers: 404, DeleteTag: 400, DeleteDigest: 202, TagAfter: 404},
		"ggcr":                      {Referrers: 200, DeleteTag: 202, DeleteDigest: 202, TagAfter: 200, ListedAfter: true},
		"ggcr-noreferrers":          {Referrers: 404, DeleteTag: 202, DeleteDigest: 202, TagAfter: 200, ListedAfter: true},
		"ocimem":                    {SubjectHeader: true, Referrers: 200, PagesTags: true, DeleteTag: 202, DeleteDigest: 202, TagAfter: 404, ListedAfter: true},
	}
	for _, kind := range All() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			server := kind.Start(t)
			if server.Name != kind.Name {
				t.Errorf("the server's name is %s, want %s", server.Name, kind.Name)
			}
			got := observe(t, server)
			if diff := cmp.Diff(want[kind.Name], got); diff != "" {
				t.Errorf("what the registry does (-want +got):\n%s", diff)
			}
			if answers := got.Referrers == http.StatusOK; answers != server.Referrers {
				t.Errorf("Referrers is %t, and the API answers %d", server.Referrers, got.Referrers)
			}
			if deletes := got.DeleteDigest == http.StatusAccepted; deletes != server.Delete {
				t.Errorf("Delete is %t, and DELETE answers %d", server.Delete, got.DeleteDigest)
			}
		})
	}
}

// observe pushes an image and one that refers to it, reads them back, and notes
// how the registry answers.
func observe(t *testing.T, server Server) facts {
	t.Helper()
	repository, err := remote.NewRepository(server.Host + "/team/image")
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	subject, manifest := push(t, repository, "a", "b", "c")
	read, back, err := oras.FetchBytes(t.Context(), repository, "a", oras.DefaultFetchBytesOptions)
	if err != nil || read.Digest != subject.Digest || !bytes.Equal(back, manifest) {
		t.Errorf("read back %s, error %v: %s", read.Digest, err, back)
	}

	path := "/v2/team/image/"
	_, referrer := encode(t, &subject)
	status, header, _ := ask(t, server, http.MethodPut, path+"manifests/referrer", referrer)
	if status != http.StatusCreated {
		t.Errorf("a manifest with a subject is answered %d", status)
	}
	got := facts{SubjectHeader: header.Get("OCI-Subject") == subject.Digest.String()}
	var body []byte
	got.Referrers, _, body = ask(t, server, http.MethodGet, path+"referrers/"+subject.Digest.String(), nil)
	if got.Referrers == http.StatusOK {
		var index ocispec.Index
		if err := json.Unmarshal(body, &index); err != nil || len(index.Manifests) != 1 {
			t.Errorf("referrers %s: %v", body, err)
		}
	}
	tags, more := list(t, server, "?n=1")
	got.PagesTags = len(tags) == 1 && more
	got.DeleteTag, _, _ = ask(t, server, http.MethodDelete, path+"manifests/c", nil)
	got.DeleteDigest, _, _ = ask(t, server, http.MethodDelete, path+"manifests/"+subject.Digest.String(), nil)
	got.TagAfter, _, _ = ask(t, server, http.MethodGet, path+"manifests/a", nil)
	tags, _ = list(t, server, "")
	got.ListedAfter = slices.Contains(tags, "a")
	return got
}

// list returns one page of tags, and whether another is announced.
func list(t *testing.T, server Server, query string) (tags []string, more bool) {
	t.Helper()
	_, header, body := ask(t, server, http.MethodGet, "/v2/team/image/tags/list"+query, nil)
	var page struct{ Tags []string }
	if err := json.Unmarshal(body, &page); err != nil {
		t.Fatal(err)
	}
	return page.Tags, header.Get("Link") != ""
}

// encode makes an image manifest whose config is the empty one.
func encode(t *testing.T, subject *ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	t.Helper()
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}, Subject: subject,
	})
	if err != nil {
		t.Fatal(err)
	}
	return content.NewDescriptorFromBytes(ocispec.MediaTypeImageManifest, manifest), manifest
}

// push pushes a manifest and what it needs, and tags it.
func push(t *testing.T, to *remote.Repository, tags ...string) (ocispec.Descriptor, []byte) {
	t.Helper()
	empty := ocispec.DescriptorEmptyJSON
	if err := to.Push(t.Context(), empty, bytes.NewReader(empty.Data)); err != nil {
		t.Fatal(err)
	}
	d, manifest := encode(t, nil)
	for _, tag := range tags {
		if err := to.PushReference(t.Context(), d, bytes.NewReader(manifest), tag); err != nil {
			t.Fatal(err)
		}
	}
	return d, manifest
}

// ask makes one request at the wire; a body is a manifest.
func ask(t *testing.T, server Server, method, path string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+server.Host+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", ocispec.MediaTypeImageManifest)
	if body != nil {
		request.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, text
}
