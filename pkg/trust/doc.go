// Package trust says whom to believe: it signs revisions and images the way cosign
// does, and finds out by a policy whether the signatures of one are enough
// (schema/SPEC.md, section 14).
//
// Most programs only load a policy and a signer, and give them to a catalog:
//
//	load := trust.LoadOptions{Getenv: os.Getenv}
//	policy, err := trust.LoadPolicy(ctx, "policy.yaml", load)
//	signer, err := trust.LoadSigner(ctx, trust.SignerOptions{LoadOptions: load, Key: "team.key"})
//
// A catalog does the following for each entry that it shows:
//
//	rule := policy.For("registry.example.com/automotive/catalog", "autosd")
//	evidence := signature.Find(ctx, repository, revision.Digest)        // pkg/internal/signature: moves bytes
//	check := rule.Check(trust.SubjectEntry, revision.Digest, evidence)  // decides
//	report := rule.Report(check)
//	if err := report.Err("entry autosd", revision.Digest); err != nil { … }
//
// What decides is pure: it opens no connection, and its only clock is the time that
// evidence proves. With keys, or with a trusted root from a file, nothing but the
// registry is ever asked.
//
// # How a check goes
//
// Check opens each signature (pkg/internal/signature) and asks whether a key of
// the rule made it, else whether its certificate names an identity of the rule and
// the policy's trusted root verifies it. It counts the signers of the rule, each
// once, and compares the count with what the rule requires. That is the one place
// that makes anything verified; what was not checked never is. Of all else the
// worst decides, and unknown is never taken for unsigned.
//
// # Who does what
//
// sigstore-go reads trusted roots and verifies keyless signatures: certificates,
// transparency logs, timestamps. Only the yes of its verifier makes one count
// (verifykeyless.go); after a no, a second pass finds out whether the signature is
// broken or a stranger's. The standard library checks signatures by lasting keys,
// because a catalog of 10,000 entries is checked at once.
//
// # Glossary
//
//   - rule: who must have signed which entries; applied rule: the one of a policy
//     that applies to a name of a catalog
//   - requirement: what a rule requires to be signed, and by how many
//   - subject: what a check is about
//   - evidence: the signatures that were found of one digest
//   - signatory: whoever made some of them, counted once under whatever names
//   - lasting key: one in a file or a plugin; a keyless signer has one for a run,
//     with a certificate for who or what runs it
//   - trusted root: the authorities and logs by which keyless signatures are checked
//   - instance: a sigstore that describes its root and its services
package trust
