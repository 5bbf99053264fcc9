package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// What a Finding is about.
const (
	partRevision   = "revision"
	partSnapshot   = "snapshot"
	partSignature  = "signature"
	partImage      = "image"
	partAttachment = "attachment"
	partKeep       = "keep tag"
	partReferrers  = "referrers"
	partDuplicate  = "duplicate"
)

// The states of a Finding, beside those of ocilog.
const (
	stateDamaged   = string(ocilog.Damaged)
	stateLost      = string(ocilog.Lost)
	stateUnknown   = string(ocilog.Unclear)
	stateMissing   = "missing"
	stateDuplicate = "duplicate"
)

// Finding is something of a catalog that is not whole, or of which that is not known.
type Finding struct {
	What   string `json:"what"`           // revision, snapshot, signature, image, attachment, keep tag, referrers, duplicate, status or locations
	Name   string `json:"name,omitempty"` // of the entry
	Where  string `json:"where"`          // a tag of the catalog, or REPOSITORY:TAG or REPOSITORY@DIGEST
	State  string `json:"state"`          // damaged, lost, missing, duplicate or unknown
	Reason string `json:"reason"`
	From   string `json:"from,omitempty"`   // what it can be mended from; "" for nothing
	Advice string `json:"advice,omitempty"` // what to do where it cannot be mended
	Mended bool   `json:"mended,omitempty"`
	Failed string `json:"failed,omitempty"` // why it was not mended although it could be

	mend func(context.Context) error // nil where nothing can
	turn int                         // of mending: smaller ones first
}

// Examination is what Examine found out about a catalog.
type Examination struct {
	Catalog   string    `json:"catalog"`
	Revisions int       `json:"revisions"` // that are listed
	Findings  []Finding `json:"findings"`

	catalog *Catalog
	options ExamineOptions
	log     *ocilog.Examination
	mu      sync.Mutex
}

// ExamineOptions say how much is examined.
type ExamineOptions struct {
	LogOnly  bool // the revisions, the newest snapshot and what else is beside them: no images, and no signatures
	NoAttach bool // images need not know their entries
	NoKeep   bool // images need not be kept
	// From are backup files, and references of other catalogs, that may have what this
	// one lost. What decides a name there counts as lost here if its document names this
	// catalog.
	From []string
	// FromImages are references of repositories whose images may know what this catalog
	// lost: what is attached to them counts as lost if its document names this catalog and
	// the image, and the policy verifies it. A name of which something stands keeps what
	// decides it, or gets something newer.
	FromImages []string
	// AllowUnsigned takes what is attached without a policy, and what no rule enforces, too:
	// of names of which nothing stands here.
	AllowUnsigned bool
}

// Examine finds out whether a catalog is whole: whether every revision that is listed
// is there, with its blobs and signatures, and every one that this reader knows to
// decide a name; whether the newest snapshot can be read; and of live entries whether
// the image knows them, and is kept (SPEC section 23). Nothing is written. An error
// means that the catalog could not be listed; what else was not answered is a finding.
func (c *Catalog) Examine(ctx context.Context, options ExamineOptions) (*Examination, error) {
	sources, end, err := c.openSources(ctx, options.From)
	if err != nil {
		return nil, err
	}
	defer end()
	attached, err := c.attachedRevisions(ctx, options)
	if err != nil {
		return nil, err
	}
	found, err := c.log.Examine(ctx, ocilog.ExamineOptions{Sources: sources, Attached: attached, Prove: c.prove})
	if err != nil {
		return nil, err
	}
	c.warnOf(found.View.Warnings())
	x := &Examination{Catalog: c.Reference(), Revisions: found.Revisions, Findings: []Finding{}, catalog: c, options: options, log: found}
	x.addLog()
	if !options.LogOnly {
		x.examineDuplicates(ctx)
		x.examineOwnReferrers(ctx)
		if err := x.examineSignatures(ctx, x.examineImages(ctx, options)); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	x.sort()
	return x, nil
}

// Err is nil if the catalog is whole, or everything was mended. Otherwise it is an
// entry.ErrMalformed, or an entry.ErrUnreachable where of something it is not known.
func (x *Examination) Err() error {
	damaged, unknown := 0, 0
	for _, f := range x.Findings {
		switch {
		case f.Mended:
		case f.State == stateUnknown:
			unknown++
		default:
			damaged++
		}
	}
	switch {
	case unknown > 0:
		return fmt.Errorf("%w: of %s of %s it is not known whether they are whole; of the others %d are not", entry.ErrUnreachable, countOf(unknown, "part"), x.Catalog, damaged)
	case damaged > 0:
		return fmt.Errorf("%w: %s is not whole: %s", entry.ErrMalformed, x.Catalog, countOf(damaged, "finding"))
	}
	return nil
}

// sort puts the findings in the order in which they are mended.
func (x *Examination) sort() {
	slices.SortStableFunc(x.Findings, func(a, b Finding) int { return a.turn - b.turn })
}

func (x *Examination) add(f Finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.Findings = append(x.Findings, f)
}

// The turns of mending. What decides a name comes before what does not, so that no
// state is shown that never was; what rests on revisions comes after them.
const (
	turnDeciding = iota
	turnRevision
	turnSignature
	turnImage
	turnAttachedSignatures // beside what is attached
	turnReferrers          // after all that may be put back

	turnSnapshot
	turnNever
)

// addLog adds what the log says of itself.
func (x *Examination) addLog() {
	for i := len(x.log.Faults) - 1; i >= 0; i-- { // the newest first
		if f, counts := x.revisionFinding(x.log.Faults[i]); counts {
			x.Findings = append(x.Findings, f)
		}
	}
	for _, fault := range x.log.Snapshots {
		f := Finding{What: partSnapshot, Where: fault.Tag.String(), State: string(fault.Condition), Reason: fault.Err.Error(), turn: turnSnapshot}
		if fault.Condition != ocilog.Unclear {
			f.From, f.mend = "the revisions", func(context.Context) error { return nil } // by the snapshot that comes last
		}
		x.Findings = append(x.Findings, f)
	}
	for _, fault := range x.log.Artifacts {
		f := Finding{What: "status", Where: fault.Tag, State: string(fault.Condition), Reason: fault.Err.Error(), turn: turnNever}
		f.Advice = "the next probe of an index server writes another one; or delete the tag"
		if fault.Tag[:2] == "_l" {
			f.What, f.Advice = "locations", "copy the catalog here once more, or delete the tag"
		}
		x.Findings = append(x.Findings, f)
	}
}

// revisionFinding says whether a revision can be written again: bytes of it are at
// hand whose digest is the tag's, and the policy verifies them. What is not there, and
// the policy does not verify, does not count: strangers' revisions may be deleted.
func (x *Examination) revisionFinding(fault ocilog.Examined) (f Finding, counts bool) {
	f = Finding{What: partRevision, Name: fault.Tag.Name, Where: fault.Tag.String(), State: string(fault.Condition), Reason: fault.Err.Error(), turn: turnRevision}
	switch {
	case fault.Condition == ocilog.Unclear:
		f.turn = turnNever
		return f, true
	case fault.Record == nil:
		f.turn = turnNever
		f.Advice = "give a backup or a copy that has it: --from"
		switch {
		case fault.Condition == ocilog.Lost:
			f.Advice += fmt.Sprintf("; or move on: `caib catalog accept-loss %s`", f.Name)
		case errors.Is(fault.Err, entry.ErrMalformed):
			f.Advice += "; or, if it never was a revision, delete the tag"
		}
		return f, fault.Condition != ocilog.Lost || x.catalog.policy() == nil || fault.Verified
	}
	if err := fault.Unproven; err != nil {
		f.turn, f.Advice = turnNever, fmt.Sprintf("what is at hand of it is not proven: %v", err)
		if errors.Is(err, entry.ErrUnreachable) {
			f.State = stateUnknown
		}
		return f, fault.Condition != ocilog.Lost || fault.Verified || f.State == stateUnknown
	}
	if x.decides(fault.Tag) {
		f.turn = turnDeciding
	}
	f.From = fault.Record.From
	if f.From == "" {
		f.From = "the registry itself"
	}
	record := *fault.Record
	f.mend = func(ctx context.Context) error { return x.catalog.writeAgain(ctx, record) }
	return f, true
}

// decides reports whether a revision is the head of its name, or its last removal.
func (x *Examination) decides(tag revision.Tag) bool {
	i, found := slices.BinarySearchFunc(x.log.Heads, tag.Name, func(r *revision.Revision, name string) int { return strings.Compare(r.Tag.Name, name) })
	return found && x.log.Heads[i].Tag == tag || tag.Op == revision.OpRemove
}

// examineDuplicates looks for images that are live under two names.
func (x *Examination) examineDuplicates(ctx context.Context) {
	twins, err := x.catalog.twins(ctx, x.log.View, x.log.Heads)
	if err != nil {
		x.add(Finding{What: partDuplicate, Where: x.Catalog, State: stateUnknown, Reason: err.Error(), turn: turnNever})
		return
	}
	for _, head := range x.log.Heads {
		if other := twins[head.Tag.Name]; other != "" {
			x.add(Finding{What: partDuplicate, Name: head.Tag.Name, Where: head.Document.Image.Reference, State: stateDuplicate, turn: turnNever,
				Reason: fmt.Sprintf("the image is live as %q too", other), Advice: fmt.Sprintf("end one of them: `caib catalog remove %s`", head.Tag.Name)})
		}
	}
}
