package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
)

// place is a repository with one image in it, behind a handler that can answer
// instead of the registry.
type place struct {
	registry.Repository
	image   ocispec.Descriptor
	mu      sync.Mutex
	instead func(w http.ResponseWriter, r *http.Request) bool
	asked   []string
}

func newPlace(t testing.TB, referrers bool) *place {
	t.Helper()
	p := &place{}
	handler := ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		instead := p.instead
		p.asked = append(p.asked, r.Method+" "+r.URL.Path)
		p.mu.Unlock()
		if instead == nil || !instead(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	client, err := registry.New(registry.Options{Attempts: 2, Backoff: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	if p.Repository, err = client.Open(registry.Reference{Registry: strings.TrimPrefix(server.URL, "http://"), Repository: "team/image"}); err != nil {
		t.Fatal(err)
	}
	p.image = p.push(t, ocispec.Manifest{Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}}, "1")
	return p
}

func (p *place) push(t testing.TB, manifest ocispec.Manifest, tag string) ocispec.Descriptor {
	t.Helper()
	manifest.SchemaVersion, manifest.MediaType = 2, ocispec.MediaTypeImageManifest
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	d := describe(ocispec.MediaTypeImageManifest, text)
	err = errors.Join(
		p.PushBlob(t.Context(), ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data),
		p.PushManifest(t.Context(), d, text, tag),
	)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (p *place) refer(t testing.TB, manifest ocispec.Manifest) {
	t.Helper()
	manifest.SchemaVersion, manifest.MediaType = 2, ocispec.MediaTypeImageManifest
	text, err := json.Marshal(manifest)
	if err == nil {
		err = p.PushReferrer(t.Context(), describe(ocispec.MediaTypeImageManifest, text), text, p.image)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What is written in either format is found, beside what others wrote, with and
// without the Referrers API; writing it again changes nothing.
func TestWriteAndFind(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers %t", referrers), func(t *testing.T) {
			p := newPlace(t, referrers)
			p.refer(t, ocispec.Manifest{ArtifactType: "application/x.other", Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}, Subject: &p.image})
			signers := []messageSigner{testSigner(t), testSigner(t)}
			var keys []*PublicKey
			for _, s := range signers {
				keys = append(keys, s.PublicKey())
			}
			for _, format := range []Format{Bundle, Legacy} {
				for _, s := range signers {
					signature := signed(t, s, format, p.image.Digest)
					for range 2 {
						if err := Write(t.Context(), p, p.image, signature, time.Unix(1, 0)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			evidence := Find(t.Context(), p, p.image.Digest)
			counted := map[Format]int{}
			for _, s := range evidence.Signatures {
				counted[s.Format]++
				if again, ok := signature.Parse(s.JSON()); !ok || again.Format != s.Format {
					t.Errorf("%s is not read again", s.JSON())
				}
			}
			if evidence.Err != nil || counted[Bundle] != 2 || counted[Legacy] != 2 {
				t.Errorf("%v, error %v", counted, evidence.Err)
			}
			policy := byKeys(t, &Rule{Keys: keys, All: true})
			if check := policy.For("", "").Check(SubjectImage, p.image.Digest, evidence); check.Result != entry.VerdictVerified {
				t.Errorf("%+v", check)
			}
			other := digest.FromString("x")
			if evidence := Find(t.Context(), p, other); evidence.Err != nil || len(evidence.Signatures) != 0 {
				t.Errorf("of another digest: %+v", evidence)
			}
		})
	}
}

// A registry that does not answer a lookup of signatures leaves the verdict
// unknown, in whichever of its steps that happens; and never unsigned.
func TestNoAnswerIsUnknown(t *testing.T) {
	team := testSigner(t)
	policy := byKeys(t, &Rule{Keys: []*PublicKey{team.PublicKey()}})
	for _, format := range []Format{Bundle, Legacy} {
		for step, match := range map[string]func(p *place, path string) bool{
			"referrers":  func(_ *place, path string) bool { return strings.Contains(path, "/referrers/") },
			"legacy tag": func(_ *place, path string) bool { return strings.HasSuffix(path, ".sig") },
			"manifest": func(p *place, path string) bool {
				return strings.Contains(path, "/manifests/sha256:") && !strings.Contains(path, p.image.Digest.String())
			},
			"blob": func(_ *place, path string) bool { return strings.Contains(path, "/blobs/") },
		} {
			for _, status := range []int{401, 403, 429, 500, 503} {
				t.Run(fmt.Sprintf("%s/%s/%d", format, step, status), func(t *testing.T) {
					p := newPlace(t, true)
					// Somebody else's signature, so that there is something to find.
					if err := Write(t.Context(), p, p.image, signed(t, testSigner(t), format, p.image.Digest), time.Unix(1, 0)); err != nil {
						t.Fatal(err)
					}
					hit := false
					p.instead = func(w http.ResponseWriter, r *http.Request) bool {
						if !match(p, r.URL.Path) {
							return false
						}
						hit = true
						w.WriteHeader(status)
						return true
					}
					check := policy.For("", "").Check(SubjectImage, p.image.Digest, Find(t.Context(), p, p.image.Digest))
					want := entry.VerdictUnknown
					if !hit {
						want = entry.VerdictUntrusted // the step belongs to the other format
					}
					if check.Result != want {
						t.Errorf("%+v, want %s", check, want)
					}
					if want == entry.VerdictUnknown {
						if err := applied(&Rule{Require: []Subject{SubjectImage}}).Report(check).Err("x", ""); !errors.Is(err, entry.ErrUnreachable) {
							t.Errorf("error %v", err)
						}
					}
				})
			}
		}
	}
}

// Two signers of the legacy format at once: each tag is written whole, and each
// signature is there in the end.
func TestLegacySignersAtOnce(t *testing.T) {
	p := newPlace(t, true)
	var group sync.WaitGroup
	for range 4 {
		signature := signed(t, testSigner(t), Legacy, p.image.Digest)
		group.Go(func() {
			if err := Write(t.Context(), p, p.image, signature, time.Unix(1, 0)); err != nil && !errors.Is(err, entry.ErrUnreachable) {
				t.Error(err)
			}
		})
	}
	testwait.Return(t, "the signers", group.Wait)
	evidence := Find(t.Context(), p, p.image.Digest)
	if evidence.Err != nil || len(evidence.Signatures) == 0 {
		t.Errorf("%d found, error %v", len(evidence.Signatures), evidence.Err)
	}
}

// Nothing but the registry is asked when signatures are looked up and checked,
// whatever they are.
func TestOffline(t *testing.T) {
	l := newLab(t)
	p := newPlace(t, true)
	if err := Write(t.Context(), p, p.image, l.signKeyless(l.services(1, true), Bundle, p.image.Digest), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	policy := l.trusting(Identity{Subject: somebody, Issuer: theirs})
	l.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s: asked although a trusted root is given", r.Method, r.URL)
	})
	old := http.DefaultTransport
	http.DefaultTransport = nil // whoever uses it panics
	defer func() { http.DefaultTransport = old }()
	check := policy.For("", "").Check(SubjectImage, p.image.Digest, Find(t.Context(), p, p.image.Digest))
	if check.Result != entry.VerdictVerified {
		t.Errorf("%+v", check)
	}
}

// A legacy signature that cannot be read hides none of those behind it.
func TestLegacySignatureBehindOneTooLarge(t *testing.T) {
	p, signer := newPlace(t, true), testSigner(t)
	made := signed(t, signer, Legacy, p.image.Digest)
	if err := Write(t.Context(), p, p.image, made, time.Now()); err != nil {
		t.Fatal(err)
	}
	_, text, err := p.Manifest(t.Context(), signature.LegacyTag(p.image.Digest))
	var manifest ocispec.Manifest
	if err := errors.Join(err, json.Unmarshal(text, &manifest)); err != nil {
		t.Fatal(err)
	}
	large := ocispec.Descriptor{MediaType: mediaTypePayload, Digest: digest.FromString("large"), Size: maxSignature + 1}
	p.push(t, ocispec.Manifest{Config: ocispec.DescriptorEmptyJSON, Layers: append([]ocispec.Descriptor{large}, manifest.Layers...)}, signature.LegacyTag(p.image.Digest))
	policy, err := NewPolicy(nil, nil, &Rule{Keys: []*PublicKey{signer.PublicKey()}})
	if err != nil {
		t.Fatal(err)
	}
	if check := policy.For("", "").Check(SubjectImage, p.image.Digest, Find(t.Context(), p, p.image.Digest)); check.Result != entry.VerdictVerified {
		t.Errorf("%s: %s, want verified", check.Result, check.Reason)
	}
}
