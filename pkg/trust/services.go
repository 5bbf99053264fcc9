package trust

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	sigroot "github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	algorithms "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// services are those that certify and witness signatures: a certificate
// authority (Fulcio), transparency logs (Rekor) and timestamp authorities. They
// are safe for concurrent use.
type services struct {
	authority string // "" is none
	issuer    string // of identity tokens, for people; "" is none
	logs      []sigroot.Service
	stampers  []sigroot.Service
	transport http.RoundTripper
}

// parseSigningConfig reads a sigstore signing config (version 0.2) and picks the
// services that are valid now. transport carries the requests to them. The
// error is an entry.ErrInvalid.
func parseSigningConfig(text []byte, transport http.RoundTripper, now time.Time) (*services, error) {
	bad := func(err error) (*services, error) {
		return nil, fmt.Errorf("%w: signing config: %s", entry.ErrInvalid, signature.Printable(err.Error()))
	}
	if len(text) > maxRoot {
		return bad(fmt.Errorf("longer than %d bytes", maxRoot))
	}
	file, err := sigroot.NewSigningConfigProtobuf(text)
	if err != nil {
		return bad(err)
	}
	config, err := sigroot.NewSigningConfigFromProtobuf(file)
	if err != nil {
		return bad(err)
	}
	s := &services{transport: transport}
	one := &prototrustroot.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	authorities, err := pick(config.FulcioCertificateAuthorityURLs(), one, sign.FulcioAPIVersions, now)
	if err != nil {
		return bad(err)
	}
	issuers, err := pick(config.OIDCProviderURLs(), one, []uint32{1}, now)
	if err != nil {
		return bad(err)
	}
	if len(authorities) > 0 {
		s.authority = authorities[0].URL
	}
	if len(issuers) > 0 {
		s.issuer = issuers[0].URL
	}
	if s.logs, err = pick(config.RekorLogURLs(), file.GetRekorTlogConfig(), sign.RekorAPIVersions, now); err != nil {
		return bad(err)
	}
	if s.stampers, err = pick(config.TimestampAuthorityURLs(), file.GetTsaConfig(), sign.TimestampAuthorityAPIVersions, now); err != nil {
		return bad(err)
	}
	return s, nil
}

// pick chooses among services: those valid now, of the newest version that is
// spoken here, as the config says; any one of them where it does not.
func pick(from []sigroot.Service, how *prototrustroot.ServiceConfiguration, versions []uint32, now time.Time) ([]sigroot.Service, error) {
	if len(from) == 0 {
		return nil, nil
	}
	for _, s := range from {
		at, err := url.Parse(s.URL)
		if err != nil || at.Host == "" || (at.Scheme != "https" && at.Scheme != "http") {
			return nil, fmt.Errorf("%q is not the address of a service", signature.Shorten(s.URL))
		}
	}
	config := sigroot.ServiceConfiguration{Selector: how.GetSelector(), Count: how.GetCount()}
	if config.Selector == prototrustroot.ServiceSelector_SERVICE_SELECTOR_UNDEFINED {
		config.Selector = prototrustroot.ServiceSelector_ANY
	}
	return sigroot.SelectServices(from, config, versions, now)
}

// checkTime reports why the services cannot prove when something was signed.
// Entries of a log of version 2 have no time.
func (s *services) checkTime() error {
	if len(s.stampers) > 0 || slices.ContainsFunc(s.logs, func(log sigroot.Service) bool { return log.MajorAPIVersion == 1 }) {
		return nil
	}
	return errors.New("the signing config names no timestamp authority, and no log of version 1, so that nothing would prove the time")
}

// checkUse reports why a format cannot hold what the services will answer, or
// why they will not take signatures by a key.
func (s *services) checkUse(format signature.Format, key crypto.PublicKey) error {
	if s == nil {
		return nil
	}
	for _, log := range s.logs {
		if log.MajorAPIVersion == 1 {
			continue
		}
		if format == signature.Legacy {
			return fmt.Errorf("%w: the format legacy cannot hold an entry of the transparency log %s: logs of version 2 make no promise; want the format bundle", entry.ErrInvalid, host(log.URL))
		}
		// They want the hash that goes with the kind of the key.
		details, err := algorithms.GetDefaultAlgorithmDetails(key, options.WithED25519ph())
		if err != nil || details.GetHashType() != crypto.SHA256 {
			return fmt.Errorf("%w: the transparency log %s, of version 2, takes signatures by P-256 and RSA keys only", entry.ErrInvalid, host(log.URL))
		}
	}
	return nil
}

// bundle signs content, and has the services witness the signature; nil is
// none. Errors that are not the key's are of a kind.
func (s *services) bundle(ctx context.Context, content sign.Content, pair *keypair, certificate sign.CertificateProvider) (made *protobundle.Bundle, err error) {
	how := sign.BundleOptions{Context: ctx, CertificateProvider: certificate}
	if s != nil {
		for _, at := range s.stampers {
			client := serviceClient(ctx, s.transport, "timestamp authority", http.StatusOK, http.StatusCreated)
			how.TimestampAuthorities = append(how.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{
				URL: at.URL, Timeout: -1, Transport: client.Transport,
			}))
		}
		for _, at := range s.logs {
			how.TransparencyLogs = append(how.TransparencyLogs, s.log(ctx, at))
		}
	}
	defer func() {
		if r := recover(); r != nil { // of what reads the answers
			made, err = nil, serviceError("sign", fmt.Errorf("an answer that makes no sense: %v", r))
		}
	}()
	made, err = sign.Bundle(content, pair, how)
	switch {
	case err == nil:
		return made, checkLogged(made)
	case pair.failed != nil:
		return nil, pair.failed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, serviceError("signing services", err)
}

// checkLogged checks that what the logs answered is about the signature: readers
// of signatures by keys that are not told of the logs would not notice.
func checkLogged(made *protobundle.Bundle) error {
	over := made.GetMessageSignature().GetSignature()
	if signed := made.GetDsseEnvelope().GetSignatures(); len(signed) == 1 {
		over = signed[0].GetSig()
	}
	for _, logged := range made.GetVerificationMaterial().GetTlogEntries() {
		err := signature.CheckLogEntry(logged)
		var parsed *tlog.Entry
		if err == nil {
			parsed, err = tlog.ParseTransparencyLogEntry(logged)
		}
		if err == nil && !bytes.Equal(parsed.Signature(), over) {
			err = errors.New("it is about another signature")
		}
		if err != nil {
			return fmt.Errorf("%w: what the transparency log answered does not hold: %s", entry.ErrUntrusted, signature.Printable(err.Error()))
		}
	}
	return nil
}

func host(address string) string {
	if parsed, err := url.Parse(address); err == nil {
		return parsed.Host
	}
	return "service"
}
