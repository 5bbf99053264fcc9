// Package catalog is the library of caib catalog: what a pipeline embeds to
// publish OS images, and a tool to find them again. A catalog is one
// repository of any OCI registry, or one directory. Three lines do what the caib
// command does, with the user's logins, certificates and cache:
//
//	c, err := catalog.Open("registry.example.com/automotive/catalog", catalog.Options{Getenv: os.Getenv, Policy: policy})
//	result, err := c.Publish(ctx, "registry.example.com/automotive/autosd:1.4", catalog.PublishOptions{Version: "1.4"})
//	page, err := c.List(ctx, catalog.ListOptions{Query: entry.Query{Targets: []string{"rpi4"}, Latest: true}})
//
// A catalog needs no server and no lock. Any number of processes may publish
// at once: every publication is a revision of its own that nothing overwrites,
// and all readers agree on which one is live.
//
// # Words
//
// A revision is one immutable event of a name, a publication or a removal. The head
// of a name is the revision that decides it; a live entry is a head that is a
// publication. An entry describes an image; the two are never the same. Under a policy
// each head has a verdict, and a name is refused where the verdict is not enough. A
// head has vanished, and its entry is lost, where this reader saw it and the registry
// no longer has it. To republish is to publish a live entry anew; to move is to end the
// same image's entries under other names.
//
// # Errors
//
// Match errors with errors.Is against the kinds of package entry: ErrNotFound,
// ErrConflict, ErrInvalid, ErrMalformed, ErrUnauthorized, ErrTimeout,
// ErrUnreachable, and under a policy ErrUntrusted: of readers for what it refuses,
// of writers for a change that nobody signs and that it would refuse
// (*UnsignedError). An answer that could not be obtained is always an error, never a
// shorter list. That a policy refuses some names of a list is data of the list: they
// are in Page.Refused, and err is nil. What was noticed beside a right answer goes to
// Options.Warn or, of one change, to the warnings of its result.
//
// # Caching
//
// In a warm cache, List without a policy asks the registry for its tag list and for
// nothing else. Options.Fresh says who answers from the last such read; all others
// read the tag list anew. GetOptions.Signers, under a policy, asks for signatures
// each time.
package catalog
