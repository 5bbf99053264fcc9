package health

import (
	"errors"

	"github.com/oci-catalog/caib/pkg/registry"
)

// Gate is the gate of a catalog (registry.Gate) for references as entries and
// requests have them. The zero value lets nothing through.
type Gate struct{ gate *registry.Gate }

// NewGate is registry.NewGate.
func NewGate(catalog string, patterns []string, hosts *registry.Hosts) (Gate, error) {
	gate, err := registry.NewGate(catalog, patterns, hosts)
	return Gate{gate}, err
}

// Check reports why a reference is not let through. A text that is no reference
// opens nothing, and passes: whoever is given it says what is wrong with it.
func (g Gate) Check(reference string) error {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil
	}
	if g.gate == nil {
		return registry.ErrNotAllowed
	}
	return g.gate.Check(ref)
}

// NotAllowed reports whether an error is that of a gate: nothing was opened.
func NotAllowed(err error) bool { return errors.Is(err, registry.ErrNotAllowed) }
