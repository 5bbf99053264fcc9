package trust

import (
	"bytes"
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/go-json-experiment/json"

	"github.com/oci-catalog/caib/pkg/entry"
)

// maxAnswer bounds the answer of a signing service, in bytes.
const maxAnswer = 1 << 20

const (
	typeSigningConfig = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
	serviceTimeout    = time.Minute // of one request
)

// Services are those that certify and witness signatures: a certificate
// authority (Fulcio), transparency logs (Rekor) and timestamp authorities.
type Services struct {
	authority string // "" is none
	logs      []service
	stampers  []service
	client    *http.Client
}

type service struct {
	URL      string `json:"url"`
	Version  int    `json:"majorApiVersion"`
	Valid    period `json:"validFor"`
	Operator string `json:"operator"`
}

type selectorJSON struct {
	Selector string `json:"selector"`
	Count    int    `json:"count"`
}

// ParseSigningConfig reads a sigstore signing config (version 0.2) and picks the
// services that are valid now. transport carries the requests to them. The
// error is an entry.ErrInvalid.
func ParseSigningConfig(text []byte, transport http.RoundTripper, now time.Time) (*Services, error) {
	var file struct {
		MediaType   string       `json:"mediaType"`
		Authorities []service    `json:"caUrls"`
		Logs        []service    `json:"rekorTlogUrls"`
		LogConfig   selectorJSON `json:"rekorTlogConfig"`
		Stampers    []service    `json:"tsaUrls"`
		StampConfig selectorJSON `json:"tsaConfig"`
	}
	bad := func(err error) (*Services, error) {
		return nil, fmt.Errorf("%w: signing config: %v", entry.ErrInvalid, err)
	}
	if len(text) > maxRoot {
		return bad(fmt.Errorf("longer than %d bytes", maxRoot))
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return bad(err)
	}
	if file.MediaType != typeSigningConfig {
		return bad(fmt.Errorf("media type %q: want %s", shorten(file.MediaType), typeSigningConfig))
	}
	s := &Services{client: &http.Client{Transport: transport, Timeout: serviceTimeout}}
	authorities, err := pick(file.Authorities, selectorJSON{Selector: "ANY"}, 1, now)
	if err != nil {
		return bad(err)
	}
	if len(authorities) > 0 {
		s.authority = authorities[0].URL
	}
	if s.logs, err = pick(file.Logs, file.LogConfig, 2, now); err != nil {
		return bad(err)
	}
	if s.stampers, err = pick(file.Stampers, file.StampConfig, 1, now); err != nil {
		return bad(err)
	}
	return s, nil
}

// pick chooses among services: those valid now, of the newest version that is
// spoken here; any one of them, all, or so many of different operators.
func pick(from []service, how selectorJSON, newest int, now time.Time) ([]service, error) {
	var usable []service
	for _, s := range from {
		at, err := url.Parse(s.URL)
		if err != nil || at.Host == "" || (at.Scheme != "https" && at.Scheme != "http") {
			return nil, fmt.Errorf("%q is not the address of a service", shorten(s.URL))
		}
		if s.Version >= 1 && s.Version <= newest && s.Valid.contains(now) {
			usable = append(usable, s)
		}
	}
	if len(usable) == 0 {
		if len(from) > 0 {
			return nil, errors.New("none of its services of a kind is valid now and of a version that is supported")
		}
		return nil, nil
	}
	slices.SortStableFunc(usable, func(a, b service) int { return b.Version - a.Version })
	usable = slices.DeleteFunc(usable, func(s service) bool { return s.Version != usable[0].Version })
	switch how.Selector {
	case "ALL":
		return usable, nil
	case "", "ANY", "SERVICE_SELECTOR_UNDEFINED":
		return usable[:1], nil
	case "EXACT":
		var chosen []service
		for _, s := range usable {
			if len(chosen) < how.Count && !slices.ContainsFunc(chosen, func(c service) bool { return c.Operator == s.Operator }) {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) < max(how.Count, 1) {
			return nil, fmt.Errorf("it wants %d services of different operators and has %d", how.Count, len(chosen))
		}
		return chosen, nil
	}
	return nil, fmt.Errorf("selector %q is unknown", shorten(how.Selector))
}

// witness lets the timestamp authorities and logs witness a signature.
func (s *Services) witness(ctx context.Context, signer Signer, m *material) error {
	for _, stamper := range s.stampers {
		stamp, err := s.stamp(ctx, stamper, m.signature)
		if err != nil {
			return err
		}
		m.timestamps = append(m.timestamps, stamp)
	}
	verifier := signer.PublicKey().PEM()
	if len(m.certificates) > 0 {
		verifier = certificatePEM(m.certificates[0].Raw)
	}
	for _, log := range s.logs {
		e, err := s.log(ctx, log, verifier, m)
		if err != nil {
			return err
		}
		m.entries = append(m.entries, *e)
	}
	return nil
}

func (s *Services) stamp(ctx context.Context, at service, signature []byte) ([]byte, error) {
	query := &timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum256(signature), Certificates: true}
	text, err := query.Marshal()
	if err != nil {
		return nil, err
	}
	answer, err := s.post(ctx, "timestamp", at.URL, "application/timestamp-query", "", text)
	if err != nil {
		return nil, err
	}
	if _, err := timestamp.ParseResponse(answer); err != nil {
		return nil, fmt.Errorf("timestamp by %s: %w: %v", host(at.URL), entry.ErrUnreachable, err)
	}
	return answer, nil
}

// post sends a request once and returns the answer. Errors name the host, and
// never a token.
func (s *Services) post(ctx context.Context, what, address, contentType, token string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", entry.ErrInvalid, what, err)
	}
	request.Header.Set("Content-Type", contentType)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return exchange(s.client, what, request)
}

func exchange(client *http.Client, what string, request *http.Request) ([]byte, error) {
	operation := what + " " + request.URL.Host
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the address: its query may hold a token
		}
		if request.Context().Err() != nil {
			return nil, fmt.Errorf("%s: %w", operation, context.Cause(request.Context()))
		}
		return nil, fmt.Errorf("%s: %w: %v", operation, entry.ErrUnreachable, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch status := response.StatusCode; {
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %v", operation, entry.ErrUnreachable, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("%s: %w: an answer of more than %d bytes", operation, entry.ErrUnreachable, maxAnswer)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return nil, fmt.Errorf("%s: %w: %d: %s", operation, entry.ErrUnauthorized, status, printable(string(answer)))
	case status != http.StatusOK && status != http.StatusCreated:
		return nil, fmt.Errorf("%s: %w: %d: %s", operation, entry.ErrUnreachable, status, printable(string(answer)))
	}
	return answer, nil
}

func host(address string) string {
	if parsed, err := url.Parse(address); err == nil {
		return parsed.Host
	}
	return "service"
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

type period struct {
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
}

func (p period) contains(at time.Time) bool {
	return !at.Before(p.Start) && (p.End.IsZero() || !at.After(p.End))
}
