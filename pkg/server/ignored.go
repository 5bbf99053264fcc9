package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// What older clients of the Build API say, and what means nothing to a catalog, is
// accepted; the answer says so. An answer without a body cannot.
const (
	ignoredNamespace = "namespace means nothing here: a catalog has none"
	ignoredSecret    = "authSecretName means nothing here: the server opens registries with its own login"
)

type warningsKey struct{}

// warnings are those of the answer to a request.
func warnings(r *http.Request) []string {
	all, _ := r.Context().Value(warningsKey{}).([]string)
	return all
}

// warned is the request with one more warning for its answer.
func warned(r *http.Request, text string) *http.Request {
	all := append(slices.Clone(warnings(r)), text)
	return r.WithContext(context.WithValue(r.Context(), warningsKey{}, all))
}

// withoutNamespace takes the parameter namespace out of a request, whatever its value.
func withoutNamespace(r *http.Request) *http.Request {
	const parameter = "namespace"
	if !strings.Contains(r.URL.RawQuery, parameter) {
		return r
	}
	all := strings.Split(r.URL.RawQuery, "&")
	kept := slices.DeleteFunc(slices.Clone(all), func(pair string) bool {
		key, _, _ := strings.Cut(pair, "=")
		return key == parameter
	})
	if len(kept) == len(all) {
		return r
	}
	r = warned(r, ignoredNamespace)
	address := *r.URL
	address.RawQuery = strings.Join(kept, "&")
	r.URL = &address
	return r
}

// withoutSecret warns of a body that says with which secret to open the registry.
func withoutSecret(r *http.Request, body any) *http.Request {
	name := ""
	switch request := body.(type) {
	case *api.AddRequest:
		name = request.AuthSecretName
	case *api.PublishRequest:
		name = request.AuthSecretName
	}
	if name == "" {
		return r
	}
	return warned(r, ignoredSecret)
}

// withWarnings puts warnings into an answer that has a member for them.
func withWarnings(value any, texts []string) any {
	var own []catalog.Warning
	for _, text := range texts {
		own = append(own, catalog.Warning{Err: errors.New(text)})
	}
	switch answer := value.(type) {
	case api.Publication:
		answer.Warnings = slices.Concat(answer.Warnings, own)
		return answer
	case api.Removal:
		answer.Warnings = slices.Concat(answer.Warnings, own)
		return answer
	case api.Verification:
		answer.Warnings = texts
		return answer
	case *api.Verification:
		return withWarnings(*answer, texts)
	}
	return value
}

// warning is the body with warnings as its last member. It is an object that has
// members, and none of that name.
func (a *body) warning(texts []string) (*body, error) {
	member, err := marshal(texts)
	if err != nil {
		return nil, err
	}
	object := bytes.TrimSuffix(bytes.TrimSpace(a.plain.body), []byte("}"))
	return newBody(slices.Concat(object, []byte(`,"warnings":`), member, []byte("}"))), nil
}
