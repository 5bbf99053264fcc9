package e2e

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
)

// startCertificateLog starts a certificate transparency log that promises to
// hold what it is given, and forgets it. Nobody who checks a certificate asks
// for more than the promise.
func startCertificateLog(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	id := sha256.Sum256(publicDER(t, &key.PublicKey))
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+ct.AddPreChainPath, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var promise *ct.AddChainResponse
		if err == nil {
			promise, err = promised(key, id, text)
		}
		if err != nil { // which Fulcio does not pass on
			t.Errorf("certificate log: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(promise)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// promised is the log's signed timestamp of a precertificate, which is asked
// for with the certificate of its issuer.
func promised(key *ecdsa.PrivateKey, id [sha256.Size]byte, text []byte) (*ct.AddChainResponse, error) {
	var request ct.AddChainRequest
	if err := json.Unmarshal(text, &request); err != nil {
		return nil, err
	}
	var certificates []ct.ASN1Cert
	for _, der := range request.Chain {
		certificates = append(certificates, ct.ASN1Cert{Data: der})
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: id}, Timestamp: uint64(time.Now().UnixMilli())}
	leaf, err := ct.MerkleTreeLeafFromRawChain(certificates, ct.PrecertLogEntryType, sct.Timestamp)
	if err != nil {
		return nil, err
	}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	signed, err := tls.CreateSignature(*key, tls.SHA256, input)
	if err != nil {
		return nil, err
	}
	signature, err := tls.Marshal(signed)
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: id[:], Timestamp: sct.Timestamp, Signature: signature}, nil
}
