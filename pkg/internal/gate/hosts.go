package gate

import (
	"sync"

	"github.com/oci-catalog/caib/pkg/registry"
)

// Hosts is a set of registries that grows while a server runs, for gates to let
// through. It is safe for concurrent use.
type Hosts struct {
	always map[string]bool // by the host in normal form

	mu    sync.Mutex
	known map[string]bool
}

// maxKnownHosts bounds what is added to a set.
const maxKnownHosts = 1000

// NewHosts makes the set of the registries of some references, which stay in it.
func NewHosts(always ...string) *Hosts {
	h := &Hosts{known: map[string]bool{}}
	for _, reference := range always {
		h.add(reference)
	}
	h.always, h.known = h.known, map[string]bool{}
	return h
}

// add adds the registry of a reference. What is no reference, or one of an image
// layout, adds nothing, and a set that is full takes no more.
func (h *Hosts) add(reference string) {
	ref, err := registry.ParseReference(reference)
	if err != nil || ref.Layout != "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) < maxKnownHosts {
		h.known[ref.Normal().Registry] = true
	}
}

// Clear takes out what was added.
func (h *Hosts) Clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.known)
}

// has reports whether the registry of a reference is in the set.
func (h *Hosts) has(ref registry.Reference) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	host := ref.Normal().Registry
	return h.always[host] || h.known[host]
}
