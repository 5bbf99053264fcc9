package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
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

// Who signs with -keyless.
const (
	signer = "ci@example.com"
	issuer = "https://issuer.example.com"
)

// signing returns the bundle that signs a digest. It is safe for concurrent use.
type signing func(digest.Digest) ([]byte, error)

// newSigning returns what signs by the flags; nil is nothing.
func newSigning(ctx context.Context, key, keyless, catalog string) (signing, error) {
	switch {
	case key != "" && keyless != "":
		return nil, errors.New("want either -key or -keyless")
	case key != "":
		signer, err := trust.LoadSigner(ctx, trust.SignerOptions{LoadOptions: trust.LoadOptions{Getenv: os.Getenv}, Key: key})
		if err != nil {
			return nil, err
		}
		return func(d digest.Digest) ([]byte, error) {
			signature, err := signer.Sign(ctx, trust.Bundle, d, catalog)
			return signature.JSON(), err
		}, nil
	case keyless != "":
		services, err := ca.NewVirtualSigstore()
		if err != nil {
			return nil, err
		}
		trusted, err := trustedRoot(services)
		if err != nil {
			return nil, err
		}
		return func(d digest.Digest) ([]byte, error) { return signKeyless(services, d) }, os.WriteFile(keyless, trusted, 0o600)
	}
	return nil, nil
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

// signKeyless makes the bundle that a keyless signer writes, with a certificate,
// a log entry and a timestamp of its own.
func signKeyless(services *ca.VirtualSigstore, d digest.Digest) ([]byte, error) {
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, d.Encoded())
	entity, err := services.AttestAtTime(signer, issuer, statement, time.Now().Add(5*time.Minute), true)
	if err != nil {
		return nil, err
	}
	certified, err := entity.VerificationContent()
	if err != nil {
		return nil, err
	}
	content, err := entity.SignatureContent()
	if err != nil {
		return nil, err
	}
	stamps, err := entity.Timestamps()
	if err != nil {
		return nil, err
	}
	logged, err := entity.TlogEntries()
	if err != nil {
		return nil, err
	}
	e := logged[0].TransparencyLogEntry()
	e.KindVersion = &rekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	e.InclusionPromise = nil // the timestamp proves the time
	return protojson.Marshal(&protobundle.Bundle{
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
}
