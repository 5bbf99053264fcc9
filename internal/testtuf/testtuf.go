// Package testtuf serves a TUF repository on loopback, as an instance of
// sigstore describes itself with one, and breaks it as tests want.
package testtuf

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// T is what a repository needs of a test: a *testing.T, for example.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Repository is a TUF repository of one key. It is safe for concurrent use.
type Repository struct {
	// URL is its address, and Root the root.json that it is trusted by.
	URL  string
	Root []byte

	server *httptest.Server

	mu       sync.Mutex
	files    map[string][]byte
	all      []byte // what is answered to everything; nil is the files
	requests int
}

// New serves targets with metadata that expires at the given time.
func New(t T, targets map[string][]byte, expires time.Time) *Repository {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatalf("TUF repository: %v", err)
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		t.Fatalf("TUF repository: %v", err)
	}
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		t.Fatalf("TUF repository: %v", err)
	}
	root := metadata.Root(time.Now().AddDate(1, 0, 0))
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if err := root.Signed.AddKey(key, role); err != nil {
			t.Fatalf("TUF repository: %v", err)
		}
	}
	r := &Repository{files: map[string][]byte{}}
	listed := metadata.Targets(expires)
	for name, content := range targets {
		file, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		if err != nil {
			t.Fatalf("TUF repository: %v", err)
		}
		listed.Signed.Targets[name] = file
		sum := sha256.Sum256(content)
		r.files["/targets/"+hex.EncodeToString(sum[:])+"."+name] = content
	}
	r.Root = signed(t, signer, root)
	r.files["/1.root.json"] = r.Root
	r.files["/1.targets.json"] = signed(t, signer, listed)
	r.files["/1.snapshot.json"] = signed(t, signer, metadata.Snapshot(expires))
	r.files["/timestamp.json"] = signed(t, signer, metadata.Timestamp(expires))
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.server.Close)
	r.URL = r.server.URL
	return r
}

// signed signs metadata of any role, and returns its file.
func signed[R metadata.Roles](t T, signer signature.Signer, m *metadata.Metadata[R]) []byte {
	t.Helper()
	if _, err := m.Sign(signer); err != nil {
		t.Fatalf("TUF repository: %v", err)
	}
	text, err := m.ToBytes(false)
	if err != nil {
		t.Fatalf("TUF repository: %v", err)
	}
	return text
}

func (r *Repository) serve(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	content, found := r.files[request.URL.Path]
	switch {
	case r.all != nil:
		content = r.all
	case !found:
		http.NotFound(w, request)
		return
	}
	_, _ = w.Write(content)
}

// Spoil changes the files whose name ends so.
func (r *Repository) Spoil(suffix string, change func([]byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, content := range r.files {
		if strings.HasSuffix(name, suffix) {
			r.files[name] = change(append([]byte(nil), content...))
		}
	}
}

// Answer gives the same answer to everything from now on.
func (r *Repository) Answer(content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = content
}

// Requests is how many requests were made so far.
func (r *Repository) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Close takes the repository away.
func (r *Repository) Close() { r.server.Close() }
