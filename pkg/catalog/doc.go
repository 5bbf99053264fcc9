// Package catalog is the library of caib catalog: what a pipeline embeds to
// publish OS images, and a tool to find them again. A catalog is one
// repository of any OCI registry, or one directory:
//
//	c, err := catalog.Open("registry.example.com/automotive/catalog", catalog.Options{})
//
//	// From a build pipeline:
//	result, err := c.Publish(ctx, "registry.example.com/automotive/autosd:1.4", catalog.PublishOptions{
//		Version: "1.4",
//		Tags:    []string{"nightly"},
//	})
//
//	// On a flashing station:
//	page, err := c.List(ctx, catalog.ListOptions{Query: entry.Query{Target: "rpi4", Latest: true}})
//	item, err := c.Get(ctx, "autosd", catalog.GetOptions{})
//
// A catalog needs no server and no lock. Any number of processes may publish
// at once: every publication is a revision of its own that nothing overwrites,
// and all readers agree on which one is live.
//
// # Errors
//
// Match errors with errors.Is against the kinds of package entry: ErrNotFound,
// ErrConflict, ErrInvalid, ErrUnauthorized, ErrTimeout, ErrUnreachable, and under
// a policy ErrUntrusted: of readers for what it refuses, of writers for a change
// that nobody signs and that it would refuse (*UnsignedError). An
// answer that could not be obtained is always an error, never a shorter list.
// What was noticed beside a right answer (a tag list that misses entries, a
// revision that is not genuine) goes to Options.Warn.
//
// # Caching
//
// List, Publish and Remove always ask the registry for its tag list, and in a
// warm cache for nothing else. Get, History and Sign answer from the last such
// read while it is fresh (Options.Fresh), and look again before they say that an
// entry does not exist. GetOptions.Signers, under a policy, asks for signatures
// each time.
package catalog
