package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/oci-catalog/caib/pkg/trust"
)

const (
	signer = "ci@example.com"
	issuer = "https://issuer.example.com"
)

// listKeyless lists a catalog of keyless signatures, each with a certificate, a
// log entry and a timestamp of its own: with an empty cache, again from what was
// remembered, and without a policy.
func (b *bench) listKeyless(host string, entries int) error {
	services, err := ca.NewVirtualSigstore()
	if err != nil {
		return err
	}
	trusted, err := trustedRoot(services)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "root.json")
	if err := os.WriteFile(file, trusted, 0o600); err != nil {
		return err
	}
	where := host + "/keyless/catalog"
	count, err := fillSigned(b.ctx, where, entries, func(d digest.Digest) (trust.Signature, error) { return signKeyless(services, d) })
	if err != nil {
		return err
	}
	fmt.Printf("\n%d keyless entries on distribution 3.1, signatures in the snapshot\n", count)
	list := []string{"catalog", "list", "--catalog", where}
	keyless := append([]string{"catalog", "list", "--catalog", where}, "--trusted-root", file, "--certificate-identity", signer, "--certificate-oidc-issuer", issuer)
	if err := b.compare(b.runs, side{"verified, caches empty", b.command("", keyless...)}, side{"not verified, caches empty", b.command("", list...)}); err != nil {
		return err
	}
	home, err := os.MkdirTemp(b.dir, "home-")
	if err != nil {
		return err
	}
	for _, args := range [][]string{keyless, list} {
		if output, err := b.command(home, args...)().CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
	}
	return b.compare(b.runs, side{"verified before", b.command(home, keyless...)}, side{"not verified, caches full", b.command(home, list...)})
}

// trustedRoot names the services. Their certificates hold no promise of a
// certificate log.
func trustedRoot(services *ca.VirtualSigstore) ([]byte, error) {
	logs := services.RekorLogs()
	for id, log := range logs {
		var err error
		if log.ID, err = hex.DecodeString(id); err != nil {
			return nil, err
		}
	}
	named, err := root.NewTrustedRoot(root.TrustedRootMediaType01, services.FulcioCertificateAuthorities(), nil, services.TimestampingAuthorities(), logs)
	if err != nil {
		return nil, err
	}
	return named.MarshalJSON()
}

// signKeyless makes the bundle that a keyless signer writes.
func signKeyless(services *ca.VirtualSigstore, d digest.Digest) (trust.Signature, error) {
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, d.Encoded())
	entity, err := services.AttestAtTime(signer, issuer, statement, time.Now().Add(5*time.Minute), true)
	if err != nil {
		return trust.Signature{}, err
	}
	certified, err := entity.VerificationContent()
	if err != nil {
		return trust.Signature{}, err
	}
	content, err := entity.SignatureContent()
	if err != nil {
		return trust.Signature{}, err
	}
	stamps, _ := entity.Timestamps()
	logged, err := entity.TlogEntries()
	if err != nil {
		return trust.Signature{}, err
	}
	e := logged[0].TransparencyLogEntry()
	e.KindVersion = &rekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	e.InclusionPromise = nil // the timestamp proves the time
	text, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: &common.X509Certificate{RawBytes: certified.Certificate().Raw}},
			TlogEntries:               []*rekor.TransparencyLogEntry{e},
			TimestampVerificationData: &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: stamps[0]}}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: statement, PayloadType: "application/vnd.in-toto+json", Signatures: []*protodsse.Signature{{Sig: content.Signature()}},
		}},
	})
	if err != nil {
		return trust.Signature{}, err
	}
	signature, ok := trust.ParseSignature(text)
	if !ok {
		return trust.Signature{}, fmt.Errorf("what was signed is no bundle")
	}
	return signature, nil
}
