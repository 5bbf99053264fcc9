package registry

import (
	"net/http"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// A 404 is believed only if it says that something does not exist, and nothing
// else. The same answer to each request must never read as absent, empty or
// unsigned.
func TestAnswersThatOnlyLookLikeAbsence(t *testing.T) {
	const octets, plain, object = "application/octet-stream", "text/plain", "application/json"
	long := strings.Repeat("x", maxErrorBody)
	for _, tt := range []struct{ name, mediaType, body, want string }{
		{"lower case", object, `{"errors":[{"code":"denied","message":"requested access to the resource is denied"}]}`, "unauthorized"},
		{"forbidden", object, `{"errors":[{"code":"FORBIDDEN","message":"no"}]}`, "unauthorized"},
		{"unauthenticated", object, `{"errors":[{"code":"UNAUTHENTICATED"}]}`, "unauthorized"},
		{"failing", object, `{"errors":[{"code":"INTERNAL_ERROR","message":"db down"}]}`, "unreachable"},
		{"unavailable", object, `{"errors":[{"code":"UNAVAILABLE"}]}`, "unreachable"},
		{"unknown", object, `{"errors":[{"code":"UNKNOWN"}]}`, "unreachable"},
		{"throttled", object, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`, "unreachable"},
		{"a code outside", object, `{"code":"DENIED","message":"no"}`, "unauthorized"},
		{"a status outside", object, `{"code":403,"message":"no"}`, "unauthorized"},
		{"one error", object, `{"error":{"code":"DENIED","message":"no"}}`, "unauthorized"},
		{"a list of texts", object, `{"errors":["DENIED"]}`, "unauthorized"},
		{"a text", object, `"DENIED"`, "unauthorized"},
		{"another object", object, `{"reason":{"text":["access denied"]}}`, "unauthorized"},
		{"two codes", object, `{"errors":[{"code":"NAME_UNKNOWN"},{"code":"DENIED"}]}`, "unauthorized"},
		{"plain words", plain, "Please log in first", "unauthorized"},
		{"plain words of a failure", plain, "backend unavailable", "unreachable"},
		{"a long detail", object, `{"errors":[{"code":"NAME_UNKNOWN"},{"code":"DENIED","detail":"` + long + `"}]}`, "unreachable"},
		{"a long page", octets, "<!DOCTYPE html><html>" + long, "unreachable"},
		{"a page behind a mark", plain, "\ufeff<html>gone</html>", "unreachable"},
		{"a code behind a mark", object, "\ufeff" + `{"errors":[{"code":"DENIED"}]}`, "unauthorized"},
		{"CUT", object, `{"errors":[{"code":"DEN`, "unreachable"},
		{"CUT page", octets, `<html>`, "unreachable"},
		{"CUT to nothing", object, ``, "unreachable"},
	} {
		for _, login := range []bool{false, true} {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v2/":
					w.WriteHeader(http.StatusOK)
				case strings.HasPrefix(tt.name, "CUT"):
					cutWith(w, 404, tt.mediaType, tt.body)
				default:
					answer(w, 404, tt.mediaType, tt.body)
				}
			})
			options := Options{Attempts: 1, Credentials: map[bool]keychain{true: userAndPassword("me", "s3cr3t")}[login]}
			repository := open(t, s.host, options)
			_, tags := repository.Tags(t.Context())
			_, _, manifest := repository.Manifest(t.Context(), "t")
			_, confirmed := absence.Confirm(t.Context(), repository, "t")
			_, referrers := repository.Referrers(t.Context(), ocispec.DescriptorEmptyJSON)
			_, fallback := repository.(*remoteRepository).fallbackIndex(t.Context(), ocispec.DescriptorEmptyJSON)
			fallback = repository.(*remoteRepository).classify(t.Context(), "read", fallback)
			for operation, err := range map[string]error{
				"tags": tags, "manifest": manifest, "confirmed": confirmed, "referrers": referrers, "fallback": fallback,
				"blob": repository.StatBlob(t.Context(), ocispec.DescriptorEmptyJSON),
			} {
				if kind(err) != tt.want {
					t.Errorf("%s, login %t: %s: got %q (%v), want %q", tt.name, login, operation, kind(err), err, tt.want)
				}
			}
		}
	}
}

// Absence is told in more than one way, and a name may be called anything.
func TestWaysToSayAbsence(t *testing.T) {
	for _, body := range []string{
		``, `{}`, "Not found.\n", `{"errors":[{"code":"manifest_unknown"}]}`, `{"errors":[{"code":"NOT_FOUND"},{"code":"MANIFEST_UNKNOWN"}]}`,
		`{"code":404,"message":"not found"}`, `{"errors":[{"status":404,"message":"Not Found"}]}`,
		"manifest of team/login-service not found", `{"errors":[{"code":"MANIFEST_UNKNOWN","detail":"permission-service"}]}`,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, "application/json", body) })
		repository := open(t, s.host, quick())
		if _, _, err := repository.Manifest(t.Context(), "t"); kind(err) != "not found" {
			t.Errorf("manifest: a 404 with %q is %v, want not found", body, err)
		}
		if list, err := repository.Referrers(t.Context(), ocispec.DescriptorEmptyJSON); err != nil || len(list) > 0 {
			t.Errorf("referrers: a 404 with %q: %v, %v, want none", body, list, err)
		}
	}
}
