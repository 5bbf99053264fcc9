package catalog

import "github.com/opencontainers/go-digest"

// Outcome says what became of a publication, of one step of it, or of a check. Those
// without a constant here are "not writable" (the image's repository is not ours to
// write) and "refused" (the registry does not take it) of attaching and keeping, and "absent" of
// an attachment, which need not be there.
type Outcome string

const (
	// Of a publication.
	Published Outcome = "published"
	Unchanged Outcome = "unchanged" // the entry says exactly this already; no revision was written
	Planned   Outcome = "planned"   // a dry run: nothing was written

	// Of a step: signing, attaching (SPEC section 9), or keeping the image (section 12).
	Signed       Outcome = "signed"
	SignedBefore Outcome = "signed before" // by the same key; nothing was written
	Attached     Outcome = "attached"      // and found among the image's referrers afterwards
	Kept         Outcome = "kept"          // put under tags of the catalog's, in the image's repository
	Skipped      Outcome = "skipped"       // not asked for, or it is there, or nothing was written
	notWritable  Outcome = "not writable"  // the image's repository is not ours to write
	refused      Outcome = "refused"       // the registry does not take it
	Failed       Outcome = "failed"        // also of a check

	// Of a check. That of a signature has a verdict instead.
	OK      Outcome = "ok"
	absent  Outcome = "absent" // and need not be there
	Unknown Outcome = "unknown"
	Moved   Outcome = "moved" // the tag of the image's reference: it names something else, or nothing
)

// Step is what became of signing, of attaching a revision or its signatures to the
// image, or of keeping the image. The catalog is complete without the last two.
type Step struct {
	Outcome Outcome       `json:"outcome"`
	Digest  digest.Digest `json:"digest,omitempty"` // that was signed
	Signer  string        `json:"signer,omitempty"`
	Reason  string        `json:"reason,omitempty"` // for what was not done
}
