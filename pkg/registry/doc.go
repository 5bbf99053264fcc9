// Package registry opens repositories: of an OCI registry, or of an OCI image
// layout directory. It is the only place of the project that builds an oras-go
// client, and the place where every rule about other people's registries is
// kept (schema/SPEC.md, section 11): bounded bodies, digests checked, Link
// followed, Retry-After honoured, at most so many requests a host.
//
//	client, err := registry.New(registry.Options{})
//	ref, err := registry.ParseReference("registry.example.com/automotive/autosd:10")
//	repository, err := client.Open(ref)
//	descriptor, manifest, err := repository.Manifest(ctx, ref.Tag)
//
// # Logging in
//
// Options.Credentials finds the account for each repository. Nothing is looked
// for unless it is named: the environment is the caller's to read.
//
//	docker, err := registry.openAuthFile("/home/ci/.docker/config.json", false)
//	inCluster := registry.serviceAccount("", "image-registry.openshift-image-registry.svc:5000")
//	client, err := registry.New(registry.Options{Credentials: registry.firstOf(docker, inCluster)})
//
// An account, and every token got for it, goes to the repository it was found
// for: not to another one, and not to another host, wherever a redirect or an
// upload leads; a path of the same host that is not below /v2/ is in none. A
// refusal says which account was refused; no error and no log line shows a
// secret, nor one that a registry repeats.
//
// # Errors
//
// Every error wraps one of the kinds of package entry. A 401, 403, 429 or 5xx
// never means "absent": only a plain 404 is ErrNotFound.
package registry
