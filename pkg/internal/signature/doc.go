// Package signature owns how cosign stores signatures: it finds them beside what
// they sign, reads and writes both formats, and takes them apart (schema/SPEC.md,
// section 14). Whom to believe is decided in pkg/trust; nothing here is.
//
//	evidence := signature.Find(ctx, repository, digest)    // moves bytes
//	for _, one := range evidence.Signatures {
//		content, err := one.Open(digest)                   // checks the form, and what it says it is of
//	}
//
// What comes from a registry is kept within bounds before anything else sees it:
// how many signatures, how large, with how many certificates and log entries, and
// how costly the keys of strangers are to check with (keycost.go).
//
// # Glossary
//
//   - bundle: a sigstore bundle in a referrer of its subject, as cosign 3 writes
//   - legacy: layers and annotations under the tag sha256-….sig, as cosign 2 does
//   - evidence: the signatures that were found of one digest, and why there may be more
//   - content: a signature taken apart
//   - entity: a signature by certificate, as sigstore-go's verifier wants one
package signature
