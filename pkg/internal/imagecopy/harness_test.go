package imagecopy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/registry"
)

const catalog = "registry.example.com/mirror/catalog"

// host is a registry of the test's process.
type host struct {
	name string
	// quirk answers a request instead; it reports whether it did. nil never does.
	quirk func(w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	asked []string
}

func newHost(t testing.TB, referrersAPI bool) *host {
	h := &host{}
	next := ggcr.New(ggcr.WithReferrersSupport(referrersAPI), ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r.Method+" "+r.URL.Path)
		quirk := h.quirk
		h.mu.Unlock()
		if quirk == nil || !quirk(w, r) {
			next.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	h.name = strings.TrimPrefix(server.URL, "http://")
	return h
}

// answer sets the quirk.
func (h *host) answer(quirk func(http.ResponseWriter, *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quirk = quirk
}

// requests are those since the last call.
func (h *host) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

func (h *host) open(t testing.TB, repository string) registry.Repository {
	return open(t, registry.Reference{Registry: h.name, Repository: repository})
}

func newLayout(t testing.TB) registry.Repository {
	return open(t, registry.Reference{Layout: filepath.Join(t.TempDir(), "layout")})
}

func open(t testing.TB, ref registry.Reference) registry.Repository {
	t.Helper()
	client, err := registry.New(registry.Options{Attempts: 2, Backoff: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	repository, err := client.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

// builder pushes images to a repository.
type builder struct {
	testing.TB
	to registry.Repository
}

func (b builder) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b builder) blob(text string) ocispec.Descriptor {
	b.Helper()
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(text), Size: int64(len(text))}
	b.must(b.to.PushBlob(b.Context(), d, []byte(text)))
	return d
}

// manifest pushes a manifest of layers, under a tag where there is one.
func (b builder) manifest(m ocispec.Manifest, tag string, layers ...string) ocispec.Descriptor {
	b.Helper()
	m.Versioned, m.MediaType, m.Config = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest, ocispec.DescriptorEmptyJSON
	m.Config.Data = nil
	b.must(b.to.PushBlob(b.Context(), m.Config, []byte("{}")))
	for _, text := range layers {
		m.Layers = append(m.Layers, b.blob(text))
	}
	if m.Subject != nil {
		return b.push(m, m.MediaType, "", m.Subject)
	}
	return b.push(m, m.MediaType, tag, nil)
}

func (b builder) index(tag string, manifests ...ocispec.Descriptor) ocispec.Descriptor {
	b.Helper()
	i := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests}
	return b.push(i, i.MediaType, tag, nil)
}

func (b builder) push(value any, mediaType, tag string, subject *ocispec.Descriptor) ocispec.Descriptor {
	b.Helper()
	text, err := json.Marshal(value)
	b.must(err)
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	switch {
	case subject != nil:
		err = b.to.PushReferrer(b.Context(), d, text, *subject)
	case tag == "":
		err = b.to.PushManifest(b.Context(), d, text, d.Digest.String())
	default:
		err = b.to.PushManifest(b.Context(), d, text, tag)
	}
	b.must(err)
	return d
}

// referrer attaches an artifact.
func (b builder) referrer(kind string, subject ocispec.Descriptor, layers ...string) ocispec.Descriptor {
	b.Helper()
	subject = plain(subject)
	return b.manifest(ocispec.Manifest{ArtifactType: "application/x." + kind, Subject: &subject}, "", layers...)
}

// sample is an image with all that an image can have.
type sample struct {
	root, arm, sbom ocispec.Descriptor
	manifests       int // of it
	attachments     int // of it
}

func pushSample(t testing.TB, to registry.Repository) sample {
	t.Helper()
	b := builder{t, to}
	foreign := ocispec.Descriptor{
		MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: digest.FromString("elsewhere"), Size: 9, URLs: []string{"http://example.com/x"},
	}
	amd := b.manifest(ocispec.Manifest{Layers: []ocispec.Descriptor{foreign}}, "", "base", "amd64")
	amd.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm := b.manifest(ocispec.Manifest{}, "", "base", "arm64")
	arm.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	attestation := b.manifest(ocispec.Manifest{}, "", "in-toto")
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	root := b.index("latest", amd, attestation, b.index("", arm, amd))
	sbom := b.referrer("sbom", root, "sbom of the index")
	b.referrer("signature", sbom, "signature of the SBOM")
	b.referrer("provenance", arm, "provenance of arm64")
	b.referrer("vnd.caib.catalog.entry", root, "entry")
	signed := b.manifest(ocispec.Manifest{}, referrertag.Index(root.Digest)+".sig", "signature of the index")
	b.manifest(ocispec.Manifest{}, referrertag.Index(signed.Digest)+".att", "attestation of the signature")
	b.manifest(ocispec.Manifest{}, referrertag.Index(arm.Digest)+".sbom", "SBOM of arm64")
	return sample{root: plain(root), arm: plain(arm), sbom: plain(sbom), manifests: 5, attachments: 7}
}

// digests are those of some referrers.
func digests(t testing.TB, repository registry.Repository, subject ocispec.Descriptor) (all []string) {
	t.Helper()
	listed, err := repository.Referrers(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range listed {
		all = append(all, d.Digest.String())
	}
	slices.Sort(all)
	return all
}

// missing says what of an image a repository has not as another one has it.
func missing(t testing.TB, from, to registry.Repository, root digest.Digest, keeps bool) (all []string) {
	t.Helper()
	miss := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	tags, err := from.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, want, err := from.Manifest(t.Context(), root.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := to.Manifest(t.Context(), root.String()); err != nil || string(got) != string(want) {
		miss("manifest %s: %v", root, err)
	}
	if keeps {
		if found, err := to.Resolve(t.Context(), referrertag.Keep(catalog, root)); err != nil || found.Digest != root {
			miss("the tag that keeps %s: %v", root, err)
		}
	}
	n := &node{}
	if err := json.Unmarshal(want, &n.said); err != nil {
		t.Fatal(err)
	}
	for _, blob := range n.blobs() {
		if err := to.StatBlob(t.Context(), blob); err != nil {
			miss("blob of %s: %v", root, err)
		}
	}
	for _, child := range n.children() {
		all = append(all, missing(t, from, to, child.Digest, true)...)
	}
	there := digests(t, to, d)
	for _, referrer := range digests(t, from, d) {
		if !slices.Contains(there, referrer) {
			miss("referrer %s of %s", referrer, root)
			continue
		}
		all = append(all, missing(t, from, to, digest.Digest(referrer), false)...)
	}
	for _, tag := range tags {
		if strings.HasPrefix(tag, referrertag.Index(root)+".") {
			of, err := from.Resolve(t.Context(), tag)
			if err != nil {
				t.Fatal(err)
			}
			if found, err := to.Resolve(t.Context(), tag); err != nil || found.Digest != of.Digest {
				miss("tag %s: %v", tag, err)
				continue
			}
			all = append(all, missing(t, from, to, of.Digest, false)...)
		}
	}
	return all
}

// copyImage copies an image, which must succeed.
func copyImage(t testing.TB, c *Copier, from, to registry.Repository, root digest.Digest) Result {
	t.Helper()
	result, err := c.Copy(t.Context(), from, to, root)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// kind names the kind of an error.
func kind(err error) string {
	for name, kind := range map[string]error{
		"not found": entry.ErrNotFound, "invalid": entry.ErrInvalid, "malformed": entry.ErrMalformed, "unauthorized": entry.ErrUnauthorized,
		"unreachable": entry.ErrUnreachable, "canceled": context.Canceled,
	} {
		if errors.Is(err, kind) {
			return name
		}
	}
	return fmt.Sprint(err)
}

// layerOf is the digest of a layer of a manifest.
func layerOf(t testing.TB, manifest []byte, nth int) string {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	return m.Layers[nth].Digest.String()
}
