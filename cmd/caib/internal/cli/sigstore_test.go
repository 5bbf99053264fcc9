package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/rogpeppe/go-internal/testscript"
	sigroot "github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/oci-catalog/caib/internal/testtuf"
)

// sigstore is an instance on loopback that certifies whoever has a token, and
// stamps signatures; it has no logs.
type sigstore struct {
	server       *httptest.Server
	authority    *sigroot.FulcioCertificateAuthority
	authorityKey crypto.Signer
	stamper      *sigroot.SigstoreTimestampingAuthority
	stamperKey   crypto.Signer
	tuf          *testtuf.Repository

	mu    sync.Mutex
	asked []string
	known int // requests to the TUF repository that were told of
}

// inTest makes a script what testtuf wants of a test.
type inTest struct{ inScript }

func (t inTest) Cleanup(end func()) { t.Defer(end) }

const (
	tokenSubject = "ci@example.com"
	tokenIssuer  = "https://issuer.example.com"
)

// cmdSigstore is `sigstore NAME`: an instance, which the environment names from
// now on, and which is at $NAME. $NAME_TOKEN is an identity token for it. The
// files NAME-root.json and NAME-config.json are its trusted root and signing
// config.
func cmdSigstore(ts *testscript.TestScript, _ bool, args []string) {
	name := one(ts, args)
	s := &sigstore{}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	ts.Defer(s.server.Close)
	ts.Check(s.found())
	made, err := sigroot.NewTrustedRoot(sigroot.TrustedRootMediaType01, []sigroot.CertificateAuthority{s.authority}, nil, []sigroot.TimestampingAuthority{s.stamper}, nil)
	ts.Check(err)
	trusted, err := made.MarshalJSON()
	ts.Check(err)
	service := func(path string) string {
		return fmt.Sprintf(`[{"url":%q,"majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"test"}]`, s.server.URL+path)
	}
	config := fmt.Appendf(nil, `{"mediaType":%q,"caUrls":%s,"tsaUrls":%s}`, sigroot.SigningConfigMediaType02, service(""), service("/stamp"))
	s.tuf = testtuf.New(inTest{inScript{ts}}, map[string][]byte{"trusted_root.json": trusted, "signing_config.v0.2.json": config}, time.Now().Add(time.Hour))
	for file, text := range map[string][]byte{"root": trusted, "config": config, "tuf": s.tuf.Root} {
		ts.Check(os.WriteFile(ts.MkAbs(name+"-"+file+".json"), text, 0o666))
	}
	worldOf(ts).sigstore = s
	claims := fmt.Sprintf(`{"email":%q,"email_verified":true,"iss":%q}`, tokenSubject, tokenIssuer)
	ts.Setenv(name, s.server.URL)
	ts.Setenv(name+"_TOKEN", "e30."+base64.RawURLEncoding.EncodeToString([]byte(claims))+".c2ln")
	ts.Setenv("TUF_MIRROR", s.tuf.URL)
	ts.Setenv("TUF_ROOT_JSON", ts.MkAbs(name+"-tuf.json"))
}

// cmdAsked is `asked`: the requests to the instance since the last time, one a
// line, those for its TUF repository as "TUF".
func cmdAsked(ts *testscript.TestScript, _ bool, _ []string) {
	s := worldOf(ts).sigstore
	s.mu.Lock()
	defer s.mu.Unlock()
	out := ts.Stdout()
	if now := s.tuf.Requests(); now > s.known {
		fmt.Fprintln(out, "TUF")
		s.known = now
	}
	for _, line := range s.asked {
		fmt.Fprintln(out, line)
	}
	s.asked = nil
}

// found makes the authorities.
func (s *sigstore) found() error {
	root, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		return err
	}
	middle, middleKey, err := ca.GenerateFulcioIntermediate(root, rootKey)
	if err != nil {
		return err
	}
	stampers, stampersKey, err := ca.GenerateTSAIntermediate(root, rootKey)
	if err != nil {
		return err
	}
	stamperKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf, err := ca.GenerateTSALeafCert(time.Now().Add(-5*time.Minute), stamperKey, stampers, stampersKey)
	if err != nil {
		return err
	}
	s.authorityKey, s.stamperKey = middleKey, stamperKey
	s.authority = &sigroot.FulcioCertificateAuthority{Root: root, Intermediates: []*x509.Certificate{middle}, ValidityPeriodStart: root.NotBefore}
	s.stamper = &sigroot.SigstoreTimestampingAuthority{Root: root, Intermediates: []*x509.Certificate{stampers}, Leaf: leaf, ValidityPeriodStart: root.NotBefore}
	return nil
}

func (s *sigstore) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var answer []byte
	switch {
	case err != nil:
	case r.URL.Path == "/stamp":
		answer, err = s.stamp(body)
	case strings.HasSuffix(r.Header.Get("Authorization"), ".expired"):
		http.Error(w, "the token has expired", http.StatusUnauthorized)
		return
	default:
		answer, err = s.certify(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer)
}

// holder is a key of which only the public half is known.
type holder struct{ key crypto.PublicKey }

func (h holder) Public() crypto.PublicKey { return h.key }
func (holder) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, fmt.Errorf("the private key is elsewhere")
}

func (s *sigstore) certify(body []byte) ([]byte, error) {
	var request struct {
		Request struct {
			Key struct{ Content string } `json:"publicKey"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(request.Request.Key.Content))
	if block == nil {
		return nil, fmt.Errorf("no key in %s", body)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	leaf, err := ca.GenerateLeafCert(tokenSubject, tokenIssuer, time.Now().Add(-time.Minute), holder{key}, s.authority.Intermediates[0], s.authorityKey)
	if err != nil {
		return nil, err
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	type object = map[string]any
	return json.Marshal(object{"signedCertificateEmbeddedSct": object{"chain": object{"certificates": []string{text}}}})
}

func (s *sigstore) stamp(body []byte) ([]byte, error) {
	request, err := timestamp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: time.Now(),
		Policy: asn1.ObjectIdentifier{1, 2, 3}, SerialNumber: big.NewInt(1),
	}
	return stamp.CreateResponseWithOpts(s.stamper.Leaf, s.stamperKey, crypto.SHA256)
}
