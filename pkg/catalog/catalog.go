package catalog

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/keylock"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/verdicts"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// Options configure a Catalog. The zero value works: anonymous, HTTPS, nothing on
// disk, nothing read from the environment. What is given comes before what Getenv
// leads to.
type Options struct {
	// Getenv reads the environment, as os.Getenv does: with it, logins,
	// certificates, proxies and directories are those of the caib command. nil reads
	// none.
	Getenv func(string) string
	// Registry opens the catalog's repository and those of the images; nil is
	// a client with registry.Options{Getenv: Getenv}.
	Registry *registry.Client
	// CacheDir is a directory that stores what was read, across processes, bounded to
	// 256 MiB. It need not exist. "" is caib below XDG_CACHE_HOME, or the user's
	// cache directory, with Getenv, and memory without.
	CacheDir string
	// StateDir is a directory that records, across processes, which entries this
	// reader saw, so that it notices what is taken away, and what a policy verified.
	// Whoever can write there can make things look verified: it is a directory of
	// the user alone. "" is caib below XDG_STATE_HOME, or the user's state
	// directory, with Getenv; without, both are known as long as the Catalog lives.
	StateDir string
	// Revisions bounds the decoded revisions in memory; 0 is 20,000.
	Revisions int
	// Fresh is how long Get, History, Sign and Verify may answer from the last read
	// of the tag list, which they read anew before they say that an entry does not
	// exist; 0 is 5s, a negative duration always asks.
	Fresh time.Duration
	// Recheck is how long a registry has to say again that something is not
	// there before it is believed; 0 is 2s.
	Recheck time.Duration
	// Author is recorded as publishedBy and removedBy.
	Author string
	// Now is the clock of publications; nil is the system's.
	Now func() time.Time
	// Policy is what List, Get, History, Verify and Explain check signatures by; nil
	// checks none. For Publish, Add, Republish, Edit and Remove, what it does not
	// verify blocks, ends and moves nothing; AcceptLoss appends nothing that it would
	// refuse.
	Policy *trust.Policy
	// Warn is told what was noticed and did not change the result; the same
	// thing again only after thousands of others. It may be called from several
	// goroutines at once; nil ignores them. What concerns one publication or
	// removal is in its result instead.
	Warn func(Warning)

	whole int64 // see ocilog.Options
}

// Catalog is an open catalog. It is safe for concurrent use.
type Catalog struct {
	reference  registry.Reference
	normal     string  // of the reference
	ruledAs    string  // the catalog whose rules of the policy are for this one; "" is itself
	archiveOf  string  // the normal form of the catalog that an archive was made of; "" is no archive
	options    Options // without Registry: all is opened by way of opener
	opener     *opener
	repository registry.Repository
	log        *ocilog.Log
	verdicts   *verdicts.Memory             // nil without a policy
	inForce    atomic.Pointer[trust.Policy] // Options.Policy, or the last that a server set
	writers    keylock.Locks                // one writer at a time decides about a name or an image; others meet in the log (SPEC section 5)
	warnings   *warner
	collects   atomic.Bool             // something was signed: the next snapshot looks for signatures
	weighed    atomic.Pointer[weighed] // the locations that were read last
	away       sync.Map                // hosts of images that did not answer, and when
	writes     atomic.Int64            // revisions that were appended here

	mu   sync.Mutex
	view *ocilog.View // the last read; nil when a write made it stale
	read time.Time
}

// Open opens the catalog that a reference names: REGISTRY/REPOSITORY or
// oci:PATH, without tag or digest. Nothing is asked of the registry yet; a
// catalog that does not exist is an empty one, and the first publication
// makes it.
func Open(reference string, options Options) (*Catalog, error) {
	ref, err := registry.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if ref.Tag != "" || ref.Digest != "" {
		return nil, fmt.Errorf("%w: catalog %q: want a repository or oci:PATH, without tag or digest", entry.ErrInvalid, reference)
	}
	if options.Registry == nil {
		if options.Registry, err = registry.New(registry.Options{Getenv: options.Getenv}); err != nil {
			return nil, err
		}
	}
	if options.Getenv != nil {
		options.CacheDir = cmp.Or(options.CacheDir, cacheDir(options.Getenv))
		options.StateDir = cmp.Or(options.StateDir, stateDir(options.Getenv))
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Fresh == 0 {
		options.Fresh = 5 * time.Second
	}
	opener := newOpener(options.Registry)
	repository, err := opener.open(ref)
	if err != nil {
		return nil, err
	}
	normal, err := normalForm(ref)
	if err != nil {
		return nil, err
	}
	return newCatalog(ref, normal, opener, repository, options), nil
}

// newCatalog makes the catalog in a repository that is open.
func newCatalog(ref registry.Reference, normal string, opener *opener, repository registry.Repository, options Options) *Catalog {
	options.Registry = nil
	c := &Catalog{reference: ref, normal: normal, options: options, opener: opener, repository: repository, warnings: newWarner(options.Warn)}
	log := ocilog.Options{
		Revisions: options.Revisions, Now: options.Now, Recheck: options.Recheck,
		Lookup: c.lookUpForSnapshot, NormalReference: normalText, Whole: options.whole,
	}
	if options.CacheDir != "" {
		log.Cache = ocilog.NewCache(options.CacheDir, 0)
	}
	if options.StateDir != "" {
		log.State = ocilog.NewState(options.StateDir)
	}
	if options.Policy != nil {
		c.inForce.Store(options.Policy)
		dir := "" // remembered by this process only
		if options.StateDir != "" {
			dir = filepath.Join(options.StateDir, "verdicts")
		}
		c.verdicts = verdicts.NewMemory(dir)
		log.Signatures, log.Decoded, log.HasEntrySignatures = true, c.checkCarried, c.hasEntrySignatures
	}
	c.log = ocilog.New(target{repository}, normal, log)
	return c
}

// Reference returns the reference that the catalog was opened with.
func (c *Catalog) Reference() string { return c.reference.Base() }

// policy is what signatures are checked by now; nil checks none.
func (c *Catalog) policy() *trust.Policy { return c.inForce.Load() }

// refresh reads the log anew, for the given names, or for all where none is given.
func (c *Catalog) refresh(ctx context.Context, names ...string) (*ocilog.View, error) {
	view, err := c.log.Read(ctx, names...)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view, c.read = view, time.Now()
	return view, nil
}

// recent returns the last read while it is fresh, else a new one, for the given names, or
// for all where none is given.
func (c *Catalog) recent(ctx context.Context, names ...string) (view *ocilog.View, reused bool, err error) {
	c.mu.Lock()
	view = c.view
	fresh := view != nil && time.Since(c.read) < c.options.Fresh && (len(names) > 0 || !view.IsPartial())
	c.mu.Unlock()
	if fresh {
		return view, true, nil
	}
	view, err = c.refresh(ctx, names...)
	return view, false, err
}

// forget makes the next read a new one: something was written.
func (c *Catalog) forget() {
	c.writes.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view = nil
}
