package trust

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// deviceToken has a person prove who they are, in a browser on any machine, and
// returns an identity token. show is told the address to open there and the
// code to compare. It takes as long as the person does, or ctx. A refusal is an
// entry.ErrUnauthorized.
func deviceToken(ctx context.Context, services *services, show func(address, code string)) (string, error) {
	if services.issuer == "" {
		return "", fmt.Errorf("%w: the signing config names no identity provider", entry.ErrInvalid)
	}
	// Until the person is done, providers answer 400 or 401.
	client := serviceClient(ctx, services.transport, "identity provider", http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized)
	ctx = oidc.ClientContext(ctx, client)
	fail := func(err error) (string, error) {
		var refused *oauth2.RetrieveError
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.As(err, &refused):
			return "", fmt.Errorf("identity provider %s: %w: %s", host(services.issuer), entry.ErrUnauthorized, signature.Printable(refused.ErrorCode))
		}
		return "", serviceError("identity provider "+host(services.issuer), err)
	}
	provider, err := oidc.NewProvider(ctx, services.issuer)
	if err != nil {
		return fail(err)
	}
	config := oauth2.Config{ClientID: audience, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "email"}}
	secret := oauth2.GenerateVerifier()
	begun, err := config.DeviceAuth(ctx, oauth2.S256ChallengeOption(secret))
	if err != nil {
		return fail(err)
	}
	address := begun.VerificationURIComplete
	if address == "" {
		address = begun.VerificationURI
	}
	show(signature.Printable(address), signature.Printable(begun.UserCode))
	answer, err := config.DeviceAccessToken(ctx, begun, oauth2.VerifierOption(secret))
	if err != nil {
		return fail(err)
	}
	token, ok := answer.Extra("id_token").(string)
	if !ok {
		return fail(errors.New("an answer without an identity token"))
	}
	return token, nil
}
