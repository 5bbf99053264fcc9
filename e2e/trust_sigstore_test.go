package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

// sigstore's own virtual services make the signatures, and sigstore-go's own
// verifier verifies beside ours: of each of these, both say the same.

const (
	subject = "ci@example.com"
	issuer  = "https://issuer.example.com"
)

// trustedRoot is the file that names the services; virtual certificates are in
// no certificate log.
func trustedRoot(t testing.TB, virtual *ca.VirtualSigstore) ([]byte, root.TrustedMaterial) {
	t.Helper()
	logs := virtual.RekorLogs()
	for id, log := range logs {
		raw, err := hex.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		log.ID = raw
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, virtual.FulcioCertificateAuthorities(), nil, virtual.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text, made
}

// statement is what cosign signs of a digest.
func statement(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, d.Encoded())
}

// pack writes what the virtual services made as a bundle.
func pack(t testing.TB, by *ca.VirtualSigstore, entity *ca.TestEntity) *protobundle.Bundle {
	t.Helper()
	content, err := entity.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	verification, err := entity.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := entity.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	stamps, err := entity.Timestamps()
	if err != nil {
		t.Fatal(err)
	}
	envelope := content.EnvelopeContent().RawEnvelope()
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	material := &protobundle.VerificationMaterial{
		Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: verification.Certificate().Raw}},
		TimestampVerificationData: &protobundle.TimestampVerificationData{},
	}
	for _, e := range entries {
		entry := e.TransparencyLogEntry()
		if e.HasInclusionPromise() { // which it keeps to itself
			promise, err := by.RekorSignPayload(tlog.RekorPayload{
				Body: e.Body(), IntegratedTime: entry.IntegratedTime, LogIndex: entry.LogIndex, LogID: hex.EncodeToString(entry.LogId.KeyId),
			})
			if err != nil {
				t.Fatal(err)
			}
			entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
		}
		if entry.KindVersion == nil {
			entry.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
		}
		material.TlogEntries = append(material.TlogEntries, entry)
	}
	for _, stamp := range stamps {
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp})
	}
	return &protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: envelope.PayloadType, Signatures: []*protodsse.Signature{{Sig: content.Signature()}},
		}},
	}
}

// theirs is sigstore-go's word on a bundle.
func theirs(t testing.TB, material root.TrustedMaterial, b *protobundle.Bundle, d digest.Digest, who string) error {
	t.Helper()
	parsed, err := bundle.NewBundle(b)
	if err != nil {
		return err
	}
	verifier, err := verify.NewVerifier(material, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := verify.NewShortCertificateIdentity(issuer, "", who, "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(d.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Verify(parsed, verify.NewPolicy(verify.WithArtifactDigest("sha256", raw), verify.WithCertificateIdentity(identity)))
	return err
}

// virtualCase is a signature of a digest that the virtual services make, and what
// it is worth.
type virtualCase struct {
	want  string // the verdict
	by    *ca.VirtualSigstore
	make  func() (*ca.TestEntity, error)
	spoil func(*protobundle.Bundle) // nil leaves it as it was made
}

// virtualCases are signatures of a digest by services that are trusted, and by
// others.
func virtualCases(t *testing.T, virtual, stranger *ca.VirtualSigstore, d digest.Digest) map[string]virtualCase {
	soon := time.Now().Add(5 * time.Minute)
	attest := func(by *ca.VirtualSigstore, subject, issuer string, d digest.Digest, at time.Time, proof bool) func() (*ca.TestEntity, error) {
		return func() (*ca.TestEntity, error) { return by.AttestAtTime(subject, issuer, statement(d), at, proof) }
	}
	proper := attest(virtual, subject, issuer, d, soon, true)
	secondLog := func() (*ca.TestEntity, error) { return virtual.AttestHashedRekordV2(subject, issuer, statement(d)) }
	// another is a second signature of the same, to take parts of.
	another := func() *protobundle.VerificationMaterial {
		other, err := proper()
		if err != nil {
			t.Fatal(err)
		}
		return pack(t, virtual, other).VerificationMaterial
	}
	return map[string]virtualCase{
		"promise, no proof":   {want: "invalid", by: virtual, make: attest(virtual, subject, issuer, d, soon, false)},
		"log with proof":      {want: "verified", by: virtual, make: proper},
		"second log":          {want: "verified", by: virtual, make: secondLog},
		"log, not stamped":    {want: "verified", by: virtual, make: proper, spoil: unstamped},
		"another digest":      {want: "invalid", by: virtual, make: attest(virtual, subject, issuer, digest.FromString("x"), soon, true)},
		"another issuer":      {want: "untrusted", by: virtual, make: attest(virtual, subject, "https://evil.example.com", d, soon, true)},
		"another subject":     {want: "untrusted", by: virtual, make: attest(virtual, "x"+subject, issuer, d, soon, true)},
		"another sigstore":    {want: "untrusted", by: stranger, make: attest(stranger, subject, issuer, d, soon, true)},
		"logged too late":     {want: "invalid", by: virtual, make: attest(virtual, subject, issuer, d, soon.Add(20*time.Minute), true)},
		"not logged":          {want: "invalid", by: virtual, make: proper, spoil: func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = nil }},
		"second log, no time": {want: "invalid", by: virtual, make: secondLog, spoil: unstamped},
		"log's time changed":  {want: "invalid", by: virtual, make: proper, spoil: func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].IntegratedTime-- }},
		"entry of another":    {want: "invalid", by: virtual, make: proper, spoil: func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = another().TlogEntries }},
		"signature changed": {want: "invalid", by: virtual, make: proper, spoil: func(b *protobundle.Bundle) {
			sig := b.GetDsseEnvelope().Signatures[0].Sig
			sig[len(sig)-1] ^= 1
		}},
		"swapped certificate": {want: "invalid", by: virtual, make: proper, spoil: func(b *protobundle.Bundle) { b.VerificationMaterial.Content = another().Content }},
	}
}

func TestVirtualSigstore(t *testing.T) {
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	text, material := trustedRoot(t, virtual)
	trusted := filepath.Join(t.TempDir(), "root.json")
	write(t, trusted, string(text))
	d := digest.FromString("revision")
	for name, test := range virtualCases(t, virtual, stranger, d) {
		t.Run(name, func(t *testing.T) {
			entity, err := test.make()
			if err != nil {
				t.Fatal(err)
			}
			b := pack(t, test.by, entity)
			if test.spoil != nil {
				test.spoil(b)
			}
			text, err := protojson.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "bundle.json")
			write(t, file, string(text))
			stdout := imageSign(t, "check", "-root", trusted, "-subject", subject, "-issuer", issuer, "-digest", d.String(), file)
			check := parseChecks(t, 1, stdout)[0]
			if check.Verdict != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
			if err := theirs(t, material, b, d, subject); (err == nil) != (check.Verdict == "verified") {
				t.Errorf("ours %s (%s), sigstore-go's %v", check.Verdict, check.Reason, err)
			}
		})
	}
}

func unstamped(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }

// What is signed here by key is a bundle to sigstore-go too.
func TestBundlesParseElsewhere(t *testing.T) {
	w, dir := newWorld(t, targets()["layout"](t)), t.TempDir()
	image := w.push("signed", "1")
	for kind, key := range ownKeys() {
		private := filepath.Join(dir, kind+".key")
		write(t, private, privatePEM(t, key))
		signature := w.sign(private, "bundle", image)
		var parsed bundle.Bundle
		if err := parsed.UnmarshalJSON([]byte(signature)); err != nil || !json.Valid([]byte(signature)) {
			t.Errorf("%s: sigstore-go parses it with %v, want no error: %s", kind, err, signature)
		}
	}
}
