package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/trust"
)

// A state that was made under another policy than that of now is shown by no
// route, and the client is asked to come back.
func TestStateOfAnotherPolicyIsNotShown(t *testing.T) {
	s := servingEntries(t, 3)
	before, now := new(trust.Policy), new(trust.Policy)
	for policy, want := range map[*trust.Policy]int{before: http.StatusServiceUnavailable, now: http.StatusOK} {
		s.trust.Store(&policyState{policy: now, replaced: make(chan struct{})})
		s.state.Store(newState(t.Context(), nil, s.state.Load().entries, policy, nil, nil))
		for _, path := range []string{"/v1/catalog/images?phase=all", "/v1/catalog/images/entry-00001", "/readyz"} {
			answer := httptest.NewRecorder()
			s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
			if answer.Code != want {
				t.Errorf("%s: %d %s, want %d", path, answer.Code, answer.Body, want)
			}
			if again := answer.Header().Get("Retry-After"); want != http.StatusOK && path != "/readyz" && (again != "1" || !strings.Contains(answer.Body.String(), "checked anew")) {
				t.Errorf("%s: Retry-After %q, %s", path, again, answer.Body)
			}
		}
	}
}
