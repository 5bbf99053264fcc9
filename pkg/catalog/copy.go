package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	archivefile "github.com/oci-catalog/caib/pkg/internal/archive"
	"github.com/oci-catalog/caib/pkg/internal/imagecopy"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// CopyOptions select what Copy copies. The zero value is all of it.
type CopyOptions struct {
	// Name is a pattern of names, as entry.Query.Name; "" is all. The names that the
	// destination has are copied in any case: what it shows of them must not be
	// older than it need be.
	Name string
	// Versions is how many publications of a name are copied, the newest ones; 0 is
	// all. Since leaves out what is older; zero leaves out nothing. The revision
	// that decides a name, and its last removal, are copied in any case.
	Versions int
	Since    time.Time
	NoImages bool // copies the catalog alone, and writes no places
	// Map says where images go, the longest prefix first: others go to the
	// destination's registry, below what its repository is in. A destination that
	// is a directory holds its images itself, and takes no Map.
	Map []registry.Mirror
	// ReadFrom are prefixes of images, HOST, HOST/PATH or oci:PATH, that are read with the
	// login of whoever copies, or from directories of this machine, although no policy
	// verifies the entries that name them. So are those that Map says something of, and
	// those on the source's own host, or in or beside its own directory. Of others,
	// registries are asked without login, and directories are not read.
	ReadFrom []string
	// Sign signs what says where the images are now: others than those on the
	// destination's own registry are believed by readers only if it is signed. nil
	// signs nothing.
	Sign *Signing
	// Refresh looks for what was attached to images of heads after they had been copied,
	// such as signatures. That is some requests an image.
	Refresh  bool
	DryRun   bool               // finds out what there is to do, and writes nothing
	Progress func(CopyProgress) // is told how far a copy is, from one goroutine at a time; nil is nobody
}

// CopyProgress is how far a copy is.
type CopyProgress struct {
	Names int // that are done
	Total int
	Bytes int64 // of images that were moved
}

// CopyResult is what was copied.
type CopyResult struct {
	From        string              `json:"from"`
	To          string              `json:"to"`
	Names       int                 `json:"names"`     // that were selected, live or not
	Revisions   CopyCount           `json:"revisions"` // of them
	Signatures  int                 `json:"signatures"`
	Images      CopyCount           `json:"images"`                // and artifacts, by digest
	Attachments int                 `json:"attachments,omitempty"` // of images, that were copied
	Bytes       int64               `json:"bytes"`                 // of images that were moved
	Locations   []revision.Location `json:"locations,omitempty"`
	Anonymous   []string            `json:"anonymous,omitempty"` // registries that were shown no login: see ReadFrom
	KeptBack    []NotCopied         `json:"keptBack,omitempty"`  // names of which nothing was copied
	Failed      []NotCopied         `json:"failed,omitempty"`    // what else is not at the destination
	DryRun      bool                `json:"dryRun,omitempty"`    // what would be copied
}

// CopyCount says of how many things.
type CopyCount struct {
	Copied  int `json:"copied"`
	Present int `json:"present"` // at the destination before
}

// NotCopied is something that was not copied, and why.
type NotCopied struct {
	Name   string `json:"name"`
	Image  string `json:"image,omitempty"` // the image; "" is the entry
	Reason string `json:"reason"`
	Err    error  `json:"-"`
}

// Copy copies the catalog to another one, images and signatures with it (SPEC section
// 20). What is there is united with what comes: nothing is deleted, nothing newer is
// hidden, and what is there already is not copied again, so that a copy that was cut
// off goes on. At no moment does the destination show a revision of a name that is
// superseded or removed here. Under the policy of this catalog, a name whose head is
// refused by the rule for it, or by the one for the destination, is kept back whole. The
// error has the kind of what is worst; the result says what was copied with an error too.
func (c *Catalog) Copy(ctx context.Context, to *Catalog, options CopyOptions) (CopyResult, error) {
	return c.copyBeyond(ctx, nil, to, options)
}

// copyBeyond is Copy, without what the base of the destination has; nil is none.
func (c *Catalog) copyBeyond(ctx context.Context, base *archivefile.Base, to *Catalog, options CopyOptions) (CopyResult, error) {
	result := CopyResult{From: c.Reference(), To: to.Reference(), DryRun: options.DryRun}
	if c.normal == to.normal {
		return result, fmt.Errorf("%w: %s cannot be copied to itself", entry.ErrInvalid, c.Reference())
	}
	if options.Versions < 0 {
		return result, fmt.Errorf("%w: %d versions", entry.ErrInvalid, options.Versions)
	}
	if err := (entry.Query{Name: options.Name}).Check(); err != nil {
		return result, err
	}
	if err := checkReadFrom(options.ReadFrom); err != nil {
		return result, err
	}
	targets, err := newCopyMap(c.holds(), to.reference, options.Map)
	if err != nil {
		return result, err
	}
	run := &copying{from: c, to: to, base: base, options: options, targets: targets, result: result, sources: map[sourceKey]registry.Repository{}}
	run.images = imagecopy.New(imagecopy.Options{Catalog: to.normal, Progress: run.moved, Refresh: options.Refresh})
	err = run.run(ctx)
	return run.result, err
}

// copying is a copy under way.
type copying struct {
	from, to *Catalog
	base     *archivefile.Base // of an increment, which to is; nil is none
	options  CopyOptions
	targets  *copyMap
	images   *imagecopy.Copier
	removed  map[string]revision.Tag // the last removal of each name
	heads    map[revision.Tag]bool
	isListed func(tag string) bool                                  // at the source
	report   func(context.Context, *revision.Revision) trust.Report // of the policy; nil without one

	mu       sync.Mutex
	sources  map[sourceKey]registry.Repository // of images, by where they were published
	beyond   map[string]registry.Repository    // where images go beyond the base, likewise
	result   CopyResult
	progress CopyProgress
	failed   error
}

func (r *copying) run(ctx context.Context) error {
	r.to.opener.expectPush(r.to.reference)
	view, err := r.from.refresh(ctx)
	if err != nil {
		return err
	}
	defer func() { r.from.warnOf(view.Warnings()) }()
	if view.Empty() {
		return fmt.Errorf("catalog %s: %w", r.from.Reference(), entry.ErrNotFound)
	}
	options := ocilog.CopyOptions{
		Versions: r.options.Versions, Since: r.options.Since, Before: r.before, Late: r.copySignatures, Copied: r.copied,
	}
	if r.base != nil {
		options.Base, options.Renew = r.isInBase, r.isRenewed
	}
	if r.options.Name != "" {
		options.Select = func(name string) bool { return entry.MatchPattern(r.options.Name, name) }
	}
	refuse, done := r.refusals(view)
	defer done(ctx)
	options.Refuse = refuse
	plan, err := ocilog.PlanCopy(ctx, view, r.to.log, options)
	if err != nil {
		return err
	}
	r.survey(view, plan)
	if r.options.DryRun {
		return r.foresee(ctx, view, plan)
	}
	if err := r.writeLocations(ctx, plan); err != nil {
		return err
	}
	copied, err := plan.Run(ctx)
	r.to.forget()
	r.take(copied)
	if err == nil {
		err = r.completeImages(ctx, plan)
	}
	return errors.Join(err, r.failed)
}

// survey notes what is known of the source before anything is copied.
func (r *copying) survey(view *ocilog.View, plan *ocilog.CopyPlan) {
	r.heads, r.removed = map[revision.Tag]bool{}, lastRemovals(view.Tags())
	r.isListed = view.Lists
	r.result.Names = len(plan.Names)
	for _, name := range plan.Names {
		r.result.Revisions.Present += name.Present
		if name.Head != nil {
			r.heads[name.Head.Tag] = true
		}
	}
	r.progress.Total = len(plan.Names)
}

// foresee says what a copy would do. Nobody is asked for images: those that the
// destination has already count as well.
func (r *copying) foresee(ctx context.Context, view *ocilog.View, plan *ocilog.CopyPlan) error {
	names, write := map[string]bool{}, map[revision.Tag]bool{}
	for _, name := range plan.Names {
		if name.Kept != nil {
			r.keepBack(ocilog.KeptBack{Name: name.Name, Err: name.Kept})
			continue
		}
		names[name.Name] = len(name.Write) > 0
		for _, tag := range name.Write {
			write[tag] = true
		}
	}
	r.result.Revisions.Copied = len(write)
	history, err := view.HistoryOf(ctx, names)
	if err != nil {
		return err
	}
	images := map[registry.Reference]bool{}
	for _, one := range history {
		if one.Document != nil && write[one.Tag] && r.wantsImage(one.Tag) {
			for _, ref := range imagesOf(one.Document) {
				images[ref] = true
			}
		}
	}
	r.result.Images.Copied = len(images)
	return r.failed
}

// take takes over what became of the log.
func (r *copying) take(copied ocilog.CopyResult) {
	r.result.Revisions = CopyCount{Copied: copied.Copied, Present: copied.Present}
	for _, kept := range copied.Kept {
		r.keepBack(kept)
	}
	for _, warning := range copied.Warnings {
		r.to.warn(WarnLog, "", warning)
	}
}

// keepBack notes a name that is not copied, or not to its end.
func (r *copying) keepBack(kept ocilog.KeptBack) {
	not := NotCopied{Name: kept.Name, Reason: kept.Err.Error(), Err: kept.Err}
	if kept.Tag == (revision.Tag{}) {
		r.result.KeptBack = append(r.result.KeptBack, not)
		r.failed = errors.Join(r.failed, fmt.Errorf("entry %q is kept back: %w", kept.Name, kept.Err))
		return
	}
	not.Reason = fmt.Sprintf("revision %s: %s", kept.Tag, not.Reason)
	r.fail(not)
}

// fail notes what is not at the destination although it was to be copied.
func (r *copying) fail(not NotCopied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Failed = append(r.result.Failed, not)
	r.failed = errors.Join(r.failed, fmt.Errorf("entry %q: %w", not.Name, not.Err))
}

// copied counts the names that are done: those of which the head is.
func (r *copying) copied(tag revision.Tag) {
	if r.heads[tag] {
		r.tell(func(p *CopyProgress) { p.Names++ })
	}
}

// moved notes the bytes of all images so far.
func (r *copying) moved(bytes int64) {
	r.tell(func(p *CopyProgress) { p.Bytes = bytes })
}

func (r *copying) tell(change func(*CopyProgress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	r.result.Bytes = r.progress.Bytes
	if r.options.Progress != nil {
		r.options.Progress(r.progress)
	}
}

func (r *copying) countImage(copied bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if copied {
		r.result.Images.Copied++
	} else {
		r.result.Images.Present++
	}
}
