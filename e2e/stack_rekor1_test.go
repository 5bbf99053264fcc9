package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // a kind of entry in use
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // and another
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/rfc6962"
)

// oldRekor is a transparency log of version 1, which promises and tells the
// time. Rekor's own code makes the entries of what is proposed; but the log
// holds only one entry, always the last.
type oldRekor struct {
	url string
	key *ecdsa.PrivateKey
	id  [sha256.Size]byte
}

func startOldRekor(t testing.TB) *oldRekor {
	t.Helper()
	o := &oldRekor{key: newECKey(t)}
	o.id = sha256.Sum256(publicDER(t, &o.key.PublicKey))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/log/entries", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var answer any
		if err == nil {
			answer, err = o.enter(r.Context(), text)
		}
		if err != nil {
			t.Errorf("log of version 1: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(answer)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// enter is the log's answer to a proposed entry.
func (o *oldRekor) enter(ctx context.Context, proposed []byte) (any, error) {
	body, err := canonical(ctx, proposed)
	if err != nil {
		return nil, err
	}
	now, id := time.Now().Unix(), hex.EncodeToString(o.id[:])
	type object = map[string]any
	entry := object{"body": body, "integratedTime": now, "logID": id, "logIndex": 0}
	promised, err := json.Marshal(entry) // its members are in order, as they are signed
	if err != nil {
		return nil, err
	}
	hashed := sha256.Sum256(promised)
	promise, err := o.key.Sign(rand.Reader, hashed[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	signer, err := signature.LoadECDSASignerVerifier(o.key, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	const tree = 42
	root := rfc6962.DefaultHasher.HashLeaf(body)
	checkpoint, err := util.CreateAndSignCheckpoint(ctx, rekorOrigin, tree, 1, root, signer)
	if err != nil {
		return nil, err
	}
	entry["verification"] = object{
		"signedEntryTimestamp": promise,
		"inclusionProof": object{
			"checkpoint": string(checkpoint), "hashes": []string{}, "logIndex": 0, "rootHash": hex.EncodeToString(root), "treeSize": 1,
		},
	}
	return object{fmt.Sprintf("%016x%x", tree, root): entry}, nil
}

// canonical is the entry that Rekor makes of what is proposed. It checks the
// signature.
func canonical(ctx context.Context, proposed []byte) ([]byte, error) {
	parsed, err := models.UnmarshalProposedEntry(bytes.NewReader(proposed), runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.CreateVersionedEntry(parsed)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(ctx, entry)
}
