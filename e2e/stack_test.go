package e2e

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/oci-catalog/caib/e2e/tools"
)

// sigstoreStack is a sigstore of a test's own: Fulcio, Rekor and the timestamp
// authority as processes, and an identity provider and a certificate log of
// the test's process. All of it is on the loopback interface, but for the
// metrics of Fulcio, which have a free port of every interface and no switch.
type sigstoreStack struct {
	*provider
	fulcio, rekor, timestamps, ctlog string // URLs
	root, config                     string // files: the trusted root and the signing config

	since     time.Time // from when on all of it is valid
	certifier certAuthority
	stamper   certAuthority
	ctKey     crypto.PublicKey
	ctFile    string // its PEM
	rekorKey  ed25519.PublicKey
	rekorFile string // PEM of the log's key, of one of version 1 only
}

// rekorOrigin names the log in its checkpoints. Clients take the name from the
// host of the log's address.
const rekorOrigin = "127.0.0.1"

// startSigstore starts a sigstore that ends with the test.
func startSigstore(t testing.TB) *sigstoreStack {
	t.Helper()
	for _, build := range []func(testing.TB) string{tools.Fulcio, tools.Rekor, tools.Timestamps} {
		build(t) // outside the time that is told below
	}
	began := time.Now()
	dir, ctKey := t.TempDir(), newECKey(t)
	rekorKey, rekorSigner, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &sigstoreStack{
		provider: startProvider(t), ctlog: startCertificateLog(t, ctKey), since: began.Add(-time.Hour),
		certifier: newCertifier(t, dir), stamper: newStamper(t, dir), ctKey: &ctKey.PublicKey, rekorKey: rekorKey,
		root: filepath.Join(dir, "trusted-root.json"), config: filepath.Join(dir, "signing-config.json"),
	}
	s.startRekor(t, dir, rekorSigner)
	s.startFulcio(t, dir)
	s.startTimestamps(t)
	write(t, s.root, s.trustedRoot(t))
	write(t, s.config, s.signingConfig(t, root.Service{URL: s.rekor, MajorAPIVersion: 2}))
	t.Logf("sigstore is up after %s", time.Since(began).Round(time.Millisecond))
	return s
}

func (s *sigstoreStack) startFulcio(t testing.TB, dir string) {
	t.Helper()
	config := filepath.Join(dir, "fulcio.json")
	write(t, config, s.provider.config(t))
	s.ctFile = filepath.Join(dir, "ctlog.pub")
	write(t, s.ctFile, publicPEM(t, s.ctKey))
	s.fulcio = startOnPorts(t, tools.Fulcio(t), "/healthz", 2, func(ports []string) []string {
		return []string{
			"serve", "--config-path", config, "--log_type", "prod", "--ct-log-url", s.ctlog, "--ct-log-public-key-path", s.ctFile,
			"--ca", "fileca", "--fileca-cert", s.certifier.certFile, "--fileca-key", s.certifier.keyFile, "--fileca-key-passwd", "none", "--fileca-watch=false",
			"--host", "127.0.0.1", "--port", ports[0], "--grpc-host", "127.0.0.1", "--grpc-port", ports[1], "--metrics-port", "0",
			"--legacy-unix-domain-socket", "@caib-e2e-fulcio-" + ports[0], // @: a name, no file
		}
	})
}

// startRekor starts the log. It answers who enters something when the next
// checkpoint is published, so these come often.
func (s *sigstoreStack) startRekor(t testing.TB, dir string, key crypto.PrivateKey) {
	t.Helper()
	keyFile := filepath.Join(dir, "rekor.key")
	write(t, keyFile, privatePEM(t, key))
	s.rekor = startOnPorts(t, tools.Rekor(t), "/healthz", 3, func(ports []string) []string {
		return []string{
			"serve", "--hostname", rekorOrigin, "--storage-dir", filepath.Join(t.TempDir(), "log"), "--signer-filepath", keyFile,
			"--http-address", "127.0.0.1", "--http-port", ports[0], "--grpc-address", "127.0.0.1", "--grpc-port", ports[1], "--http-metrics-port", ports[2],
			"--batch-max-age", "10ms", "--checkpoint-interval", "100ms",
		}
	})
}

// startTimestamps starts the timestamp authority, which says where it listens.
func (s *sigstoreStack) startTimestamps(t testing.TB) {
	t.Helper()
	host := startProcess(t, tools.Timestamps(t), s.stamper.keyFile, s.stamper.certFile).address(t)
	s.timestamps = "http://" + host + "/api/v1/timestamp"
}

// trustedRoot is what clients must know of the services to check signatures.
func (s *sigstoreStack) trustedRoot(t testing.TB, more ...*root.TransparencyLog) string {
	t.Helper()
	_, id, err := note.KeyHash(rekorOrigin, s.rekorKey)
	if err != nil {
		t.Fatal(err)
	}
	ctID := sha256.Sum256(publicDER(t, s.ctKey))
	logs := map[string]*root.TransparencyLog{}
	for _, log := range append(more, s.log(s.rekor, id, s.rekorKey)) {
		logs[hex.EncodeToString(log.ID)] = log
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			URI: s.fulcio, Intermediates: s.certifier.chain[:1], Root: s.certifier.chain[1], ValidityPeriodStart: s.since,
		}},
		map[string]*root.TransparencyLog{hex.EncodeToString(ctID[:]): s.log(s.ctlog, ctID[:], s.ctKey)},
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			URI: s.timestamps, Leaf: s.stamper.chain[0], Root: s.stamper.chain[1], ValidityPeriodStart: s.since,
		}},
		logs)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *sigstoreStack) log(url string, id []byte, key crypto.PublicKey) *root.TransparencyLog {
	return &root.TransparencyLog{BaseURL: url, ID: id, PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: s.since}
}

// signingConfig is what clients must know of the services to sign, with a log
// of either version.
func (s *sigstoreStack) signingConfig(t testing.TB, log root.Service) string {
	t.Helper()
	service := func(url string, version uint32) root.Service {
		return root.Service{URL: url, MajorAPIVersion: version, ValidityPeriodStart: s.since, Operator: "test"}
	}
	either := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	made, err := root.NewSigningConfig(root.SigningConfigMediaType02,
		[]root.Service{service(s.fulcio, 1)}, []root.Service{service(s.people(), 1)},
		[]root.Service{service(log.URL, log.MajorAPIVersion)}, either,
		[]root.Service{service(s.timestamps, 1)}, either)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
