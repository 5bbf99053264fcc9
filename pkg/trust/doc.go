// Package trust signs revisions and images the way cosign does, finds and
// checks such signatures, and says by a policy whether what they prove is
// enough (schema/SPEC.md, section 14).
//
//	policy, err := trust.ReadPolicy(text, os.ReadFile, nil)
//	rule := policy.Rule("registry.example.com/automotive/catalog", "autosd")
//	evidence := trust.Find(ctx, repository, revision.Digest)           // moves bytes
//	check := policy.Check(rule, trust.Entry, revision.Digest, evidence) // decides
//	report := trust.Compose(rule, check)
//	if err := report.Err("entry autosd", revision.Digest); err != nil { … }
//
// What moves bytes (Find, Write, OpenInstance, keyless signing) is separate from what
// decides (Policy, Check, Compose), which is pure: it opens no connection, and
// its only clock is the time that evidence proves. With keys, or with a trusted
// root from a file, nothing but the registry is ever asked.
//
// # Verdicts
//
// A verdict is one of five, and each means one thing. Unknown is never taken
// for unsigned, and what was not checked is never verified: the one place that
// makes a check succeed is Policy.Check, once the signatures of a rule's
// signers have been counted.
//
// # Signing
//
// A key signs with the standard library, and asks nobody. A keyless signer has
// one key and one certificate for a run; sigstore-go asks the services that
// certify and witness, over our transport, which bounds their answers and gives
// errors their kind:
//
//	instance, err := trust.openInstance(ctx, trust.instanceOptions{Cache: dir}) // the public good instance
//	root, err := instance.root()
//	services, err := instance.services(http.DefaultTransport, time.Now())
//	signer, err := trust.newKeyless(trust.keylessOptions{Services: services, Root: root, Token: token})
//	signature, err := trust.Sign(ctx, signer, nil, trust.Bundle, revision.Digest, "")
//
// Sign returns only what Policy.Check verifies under that root.
//
// # Who does what
//
// sigstore-go reads trusted roots and judges keyless signatures: certificates,
// transparency logs, timestamps. Those who define the formats keep it. The only
// way to a keyless signature that counts is the yes of its verifier (vouch.go);
// after a no, a second pass finds out whether the signature is broken or a
// stranger's. What comes from a registry is held within bounds before the
// verifier sees it (content.go, entity.go).
//
// The standard library checks signatures by lasting keys, because a catalog of
// 10,000 entries is checked at once. Ours is the rest: finding evidence, and
// knowing when the look failed, policies, verdicts, memory.
package trust
