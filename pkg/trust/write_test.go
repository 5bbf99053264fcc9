package trust

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
)

// answerAt answers requests whose path holds a part, as long as it is not
// written there.
func answerAt(part string, status int, body string) func(w http.ResponseWriter, r *http.Request) bool {
	written := false
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		if written = written || r.Method == http.MethodPut; written {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// signOnce signs as a catalog does: unless that was done before.
func (p *place) signOnce(t *testing.T, signer messageSigner, format Format) (present bool, err error) {
	t.Helper()
	present, err = signature.Signed(t.Context(), p, p.image.Digest, format, signer.PublicKey().Key)
	if err == nil && !present {
		err = Write(t.Context(), p, p.image, signed(t, signer, format, p.image.Digest), time.Unix(0, 0))
	}
	return present, err
}

// D8: a registry that will not say what is there does not keep anybody from
// signing who may push.
func TestSigningWhereTheRegistryDoesNotSay(t *testing.T) {
	const denied = `{"errors":[{"code":"DENIED"}]}`
	for _, tt := range []struct {
		name, part string
		status     int
		body       string
		format     Format
	}{
		{"a tag that is not there: 403", ".sig", 403, denied, Legacy},
		{"a tag that is not there: 401", ".sig", 401, "", Legacy},
		{"a tag that is not there: 404 that denies", ".sig", 404, denied, Legacy},
		{"no referrers: 403", "/referrers/", 403, denied, Legacy},
		{"no referrers: 500", "/referrers/", 500, "", Legacy},
		{"no Referrers API: 400", "/referrers/", 400, "", Bundle},
		{"no Referrers API: 405", "/referrers/", 405, "", Bundle},
		{"no Referrers API: 406", "/referrers/", 406, "", Bundle},
		{"no Referrers API: 501", "/referrers/", 501, "", Bundle},
		{"a legacy tag is refused to bundles", ".sig", 403, denied, Bundle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, signer := newPlace(t, true), testSigner(t)
			p.instead = answerAt(tt.part, tt.status, tt.body)
			if present, err := p.signOnce(t, signer, tt.format); present || err != nil {
				t.Fatalf("present %t, %v; want it signed", present, err)
			}
			if present, err := p.signOnce(t, signer, tt.format); !present || err != nil {
				t.Errorf("a second time: present %t, %v; want it present", present, err)
			}
		})
	}
}

// Legacy signing asks for no referrers.
func TestLegacySigningListsNoReferrers(t *testing.T) {
	p := newPlace(t, true)
	if _, err := p.signOnce(t, testSigner(t), Legacy); err != nil {
		t.Fatal(err)
	}
	for _, asked := range p.asked {
		if strings.Contains(asked, "/referrers/") || strings.HasSuffix(asked, "/sha256-"+p.image.Digest.Encoded()) {
			t.Errorf("legacy signing asked for %s", asked)
		}
	}
}

// Who may not even read the subject is not told anything by a refusal: nobody's
// signatures are overwritten for it. To readers a refusal is none either.
func TestRefusalsThatHideSignatures(t *testing.T) {
	p, signer := newPlace(t, true), testSigner(t)
	if _, err := p.signOnce(t, signer, Legacy); err != nil {
		t.Fatal(err)
	}
	p.instead = answerAt("/manifests/", 403, `{"errors":[{"code":"DENIED"}]}`)
	if _, err := p.signOnce(t, testSigner(t), Legacy); !errors.Is(err, entry.ErrUnauthorized) {
		t.Errorf("signing: %v, want unauthorized", err)
	}
	p.instead = answerAt(".sig", 403, `{"errors":[{"code":"DENIED"}]}`)
	if evidence := Find(t.Context(), p, p.image.Digest); !errors.Is(evidence.Err, entry.ErrUnauthorized) {
		t.Errorf("reading: %v, want unauthorized", evidence.Err)
	}
	p.instead = answerAt(".sig", 503, "")
	if _, err := p.signOnce(t, testSigner(t), Legacy); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("of a registry that fails: %v, want unreachable", err)
	}
}

// Where bundles have tags of their own, those name the catalog.
func TestBundlesNameTheirCatalog(t *testing.T) {
	endings := map[string]string{}
	for _, catalog := range []string{"one.example.com/catalog", "two.example.com/catalog"} {
		p := newPlace(t, false)
		ref, err := registry.ParseReference(catalog)
		if err != nil {
			t.Fatal(err)
		}
		signature := signed(t, testSigner(t), Bundle, p.image.Digest)
		if err := Write(referrertag.WithCatalog(t.Context(), ref.Normal().Base()), p, p.image, signature, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		tags, err := p.Tags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range tags {
			if strings.HasPrefix(tag, "caib.") {
				endings[catalog] = tag[strings.LastIndex(tag, "."):]
			}
		}
	}
	if len(endings) != 2 || endings["one.example.com/catalog"] == endings["two.example.com/catalog"] {
		t.Errorf("the tags of bundles end in %v, want one ending for each catalog", endings)
	}
}

// Nor are signatures overwritten that a registry refuses to show, and lists.
func TestRefusedTagsAreNotOverwritten(t *testing.T) {
	for _, format := range []Format{Legacy, Bundle} {
		p, first := newPlace(t, false), testSigner(t)
		if _, err := p.signOnce(t, first, format); err != nil {
			t.Fatal(err)
		}
		for _, status := range []int{401, 403} {
			p.instead = func(w http.ResponseWriter, r *http.Request) bool {
				tag := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
				refused := r.Method != http.MethodPut && (tag == signature.LegacyTag(p.image.Digest) || tag == referrertag.Index(p.image.Digest))
				if refused {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(status)
					_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED"}]}`))
				}
				return refused
			}
			if _, err := p.signOnce(t, testSigner(t), format); !errors.Is(err, entry.ErrUnauthorized) {
				t.Errorf("%s, %d: signing: %v, want unauthorized", format, status, err)
			}
			p.instead = nil
			if present, err := signature.Signed(t.Context(), p, p.image.Digest, format, first.PublicKey().Key); !present || err != nil {
				t.Errorf("%s, %d: the first signature is there %t, %v", format, status, present, err)
			}
		}
	}
	p := newPlace(t, true)
	text := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	if err := p.PushManifest(t.Context(), describe(ocispec.MediaTypeImageIndex, text), text, signature.LegacyTag(p.image.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.signOnce(t, testSigner(t), Legacy); !errors.Is(err, entry.ErrConflict) {
		t.Errorf("over an index: %v, want a conflict", err)
	}
}
