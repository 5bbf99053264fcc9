// Package server is the index server of caib catalog as an http.Handler: it
// holds catalogs in memory, follows their logs, watches their images, and
// answers the catalog routes of the Build API (schema/openapi.yaml). It never
// listens:
//
//	s, err := server.New(server.Options{Catalogs: []*catalog.Catalog{c}, Interval: time.Hour})
//	go s.Run(ctx)                 // follow, probe, record
//	h := &http.Server{Handler: s} // with time-outs of your own
//	err = h.Serve(listener)
//
// It is read-only unless Options.TokenFile is given; then writes need a bearer
// token. A registry that is away leaves the last good state. Bodies are
// prepared, compressed and named by their hash when the state changes: a
// request for what was asked before writes bytes, and servers that have read
// the same log answer with the same ETag.
//
// With Options.Policy it checks signatures: when the catalogs or the policy change,
// never while a request waits for a prepared answer. A state is made under one
// policy, and shown while that is the one of now; while the policy cannot be read,
// nothing is. What the policy refuses is in no list, and asking for it by name
// answers why.
//
// Browsers are shown pages of what the API answers (package page): the list, an entry,
// what happened, and the description of the API.
//
// The server asks registries on behalf of anybody, for references that whoever
// writes to a catalog chose. What it opens is decided in one place, for the
// server and its catalogs alike (Options.Allow), and what was answered is told to
// clients with a token alone.
//
// # Glossary
//
// An entry is what clients are shown of a name, prepared: encoded, and indexed for
// queries. The state is all entries that are served at one moment; a view is what one read of a log showed, of which a state is made. A body
// is an answer that is ready to be written. A label is what marks the entries of one
// of several catalogs: its reference. An audit record is one line of who did what.
// The gate of a catalog decides which repositories are opened for
// its entries. A refusal is a name that the policy does not let through.
package server
