// Package registry opens repositories: of an OCI registry, or of an OCI image
// layout directory. It is the only place of the project that builds an oras-go
// client, and the place where every rule about other people's registries is
// kept (schema/SPEC.md, section 11): bounded bodies, digests checked, Link
// followed, Retry-After honoured, at most so many requests a host.
//
//	client, err := registry.New(registry.Options{Getenv: os.Getenv})
//	ref, err := registry.ParseReference("registry.example.com/automotive/autosd:10")
//	repository, err := client.Open(ref)
//	descriptor, manifest, err := repository.Manifest(ctx, ref.Target())
//
// # Logging in
//
// With Options.Getenv, logins, certificates and proxies are found where docker,
// podman and curl find theirs. Without it nothing is read from the environment,
// and what the options do not name is not looked for:
//
//	client, err := registry.New(registry.Options{
//		AuthFile:            "/home/ci/.docker/config.json",
//		ServiceAccountHosts: []string{"image-registry.openshift-image-registry.svc:5000"},
//	})
//
// The keys of a file of logins are HOST, HOST/NAMESPACE or
// HOST/NAMESPACE/REPOSITORY, and the longest that fits decides. An account, and
// every token got for it, goes to the repository it was found for: not to
// another one, and not to another host, wherever a redirect or an upload leads;
// a path of the same host that is not below /v2/ is in none. A refusal says
// which account was refused; no error and no log line shows a secret, nor one
// that a registry repeats. Client.Check says which account that is, and what it
// may do.
//
// # Errors
//
// Every error wraps one of the kinds of package entry. A 401, 403, 429 or 5xx
// never means "absent": only a plain 404 is an entry.ErrNotFound. Of every
// time-out, errors.Is(err, context.DeadlineExceeded) holds. What helps is data
// in an *Error: its Cause, what was asked, and as whom.
//
// # Glossary
//
// A layout is an OCI image layout directory; the fallback tag is what stands in
// for the Referrers API; a gate decides which repositories a server opens for
// references that others wrote; a challenge is a way of logging in that a
// registry offers; an attempt is one request with one of them.
package registry
