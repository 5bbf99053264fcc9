package trust

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
)

// audience is whom identity tokens are made out to.
const audience = "sigstore"

// kubernetesToken is where a pod finds the token that its cluster projects.
const kubernetesToken = "/var/run/sigstore/cosign/oidc-token"

// ambientToken finds the identity token of the environment that a pipeline runs
// in: SIGSTORE_ID_TOKEN (GitLab's id_tokens set it), GitHub Actions with the
// permission id-token: write, or a Kubernetes projected volume. "" is none.
func ambientToken(ctx context.Context, getenv func(string) string, read func(path string) ([]byte, error), transport http.RoundTripper) (string, error) {
	if token := strings.TrimSpace(getenv("SIGSTORE_ID_TOKEN")); token != "" {
		return token, nil
	}
	if address := getenv("ACTIONS_ID_TOKEN_REQUEST_URL"); address != "" {
		return githubToken(ctx, address, getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), transport)
	}
	if text, err := read(kubernetesToken); err == nil && len(text) <= maxAnswer {
		return strings.TrimSpace(string(text)), nil
	}
	return "", nil
}

func githubToken(ctx context.Context, address, bearer string, transport http.RoundTripper) (string, error) {
	at, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL is no address", entry.ErrInvalid)
	}
	query := at.Query()
	query.Set("audience", audience)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL is no address", entry.ErrInvalid)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	answer, err := serviceClient(ctx, transport, "identity token", http.StatusOK).Do(request)
	if err != nil {
		return "", serviceError("identity token", err)
	}
	defer answer.Body.Close()
	var response struct {
		Value string `json:"value"`
	}
	if err := json.UnmarshalRead(answer.Body, &response); err != nil || response.Value == "" {
		return "", fmt.Errorf("identity token %s: %w: its answer has no token", at.Host, entry.ErrUnreachable)
	}
	return response.Value, nil
}
