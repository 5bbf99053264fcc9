package catalog

import (
	"context"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/registry"
)

// opener opens the repositories of a catalog and of its images: nothing else in
// this package does, so nothing is opened that the gate does not let through.
type opener struct {
	client *registry.Client
	gate   atomic.Pointer[gate.Gate]               // that a server set; nil lets everything through
	recent *lru.Cache[string, registry.Repository] // of images
	only   registry.Repository                     // an archive, which holds all that is opened; nil is none
}

// maxOpened bounds the repositories of images that stay open.
const maxOpened = 256

func newOpener(client *registry.Client) *opener {
	o := &opener{client: client}
	o.recent, _ = lru.New[string, registry.Repository](maxOpened) // never fails: the size is positive
	return o
}

// open opens a repository. What the gate does not let through is a
// gate.ErrNotAllowed.
func (o *opener) open(ref registry.Reference) (registry.Repository, error) {
	ref, err := o.pass(ref)
	if err != nil || o.only != nil {
		return o.only, err
	}
	return o.client.Open(ref)
}

func (o *opener) pass(ref registry.Reference) (registry.Reference, error) {
	if gate := o.gate.Load(); gate != nil {
		return gate.Pass(ref)
	}
	return ref, nil
}

// openAgain is open, and returns the repository that it returned before, if it is
// still there: that one knows what its registry can do.
func (o *opener) openAgain(ref registry.Reference) (registry.Repository, error) {
	ref, err := o.pass(ref)
	if err != nil || o.only != nil {
		return o.only, err
	}
	if before, ok := o.recent.Get(ref.Base()); ok {
		return before, nil
	}
	repository, err := o.client.Open(ref)
	if err == nil {
		o.recent.Add(ref.Base(), repository)
	}
	return repository, err
}

// writable is what a repository of package registry is, beside a
// registry.Repository.
type writable interface {
	// ExpectPush says that the repository is going to be written to, so that its
	// login is asked for that at once. Some registries hide a repository that
	// does not exist yet from those who could not begin it.
	ExpectPush()
	// CanPush reports why nothing can be written to it. Nothing is written.
	CanPush(ctx context.Context) error
}

// expectPush does nothing where a reference cannot be opened.
func (o *opener) expectPush(ref registry.Reference) {
	if repository, err := o.open(ref); err == nil {
		repository.(writable).ExpectPush()
	}
}

func (o *opener) canPush(ctx context.Context, ref registry.Reference) error {
	repository, err := o.open(ref)
	if err != nil {
		return err
	}
	return repository.(writable).CanPush(ctx)
}
