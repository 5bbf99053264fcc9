package cli

import (
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/entry"
)

// notThroughServer are the settings that verbs have and that mean nothing to them when
// an index server is asked. Flags of single verbs are refused where they are read.
var notThroughServer = []struct {
	setting string
	verbs   []string
	kinds   []string // where it was set: what is set for everything is meant for other commands too
	reason  string
}{
	{"authfile", []string{"list", "history", "verify", "watch", "publish", "edit", "add", "remove"}, []string{"flag"}, "the server logs in to registries by itself"},
	{"policy", []string{"publish", "edit", "add", "remove"}, []string{"flag", "environment", "profile", "config"}, "it has a policy of its own, or none, that judges what is written"},
}

// checkServerSettings refuses settings that mean nothing through a server.
func (s *settings) checkServerSettings(verb string) error {
	if s.server == "" {
		return nil
	}
	for _, not := range notThroughServer {
		if from := s.origins[not.setting]; slices.Contains(not.verbs, verb) && slices.Contains(not.kinds, from.kind) {
			return withHint(fmt.Errorf("%w: %s: not through the server %s: %s", entry.ErrInvalid, from.label, s.server, not.reason),
				"leave it out, or ask the registry itself: give --catalog, and no --server")
		}
	}
	return nil
}
