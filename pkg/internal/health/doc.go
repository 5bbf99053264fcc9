// Package health watches the images of a catalog: it asks their registries,
// evenly spread over an interval, whether the digest that was published can be
// had, and keeps a phase for every entry (schema/SPEC.md, section 17).
//
//	monitor := health.New(health.Options{Probe: health.Registry(client.Open)})
//	monitor.Follow(items, recorded)     // whenever the catalog changed
//	go monitor.Run(ctx)                 // probes until ctx ends
//	statuses := monitor.Statuses()      // what is known, by key
//
// Probes are due at times that depend on the entry's name and the clock alone,
// and a status is dated with the time its probe was due. So processes that
// know nothing of each other probe at the same times and, as long as registries
// answer them the same, keep the same statuses to the byte.
//
// Each registry host has a circuit breaker: five failures in a row
// open it, five minutes later one probe tries again. While it is not closed,
// nothing that fails counts for an entry: its last phase stays, marked
// stale.
//
// A status says why in a word and a sentence that goes with it, never in those
// of the registry: it is shown, and recorded, for everybody. What was answered is
// told to Options.Failed.
package health
