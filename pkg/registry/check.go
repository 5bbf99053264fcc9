package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/absence"
)

// Access is what one may do with a repository, and as whom.
type Access struct {
	User   string // "" for nobody, and for a token without a name
	Source string // where the login is stored, for people; "" where there is none
	// Tried reports whether the login was given to the registry. Where it was
	// not, Pull and Push are what anybody may do.
	Tried bool
	Pull  error // why the manifest, or without a tag and digest the tag list, cannot be read
	Push  error // why nothing can be written
}

// Check finds out what may be done with ref. Nothing is written: for Push, an
// upload is begun and given up. Of a registry that does not answer nothing more
// is known, and Push is Pull. The error is why it cannot be asked at all.
func (c *Client) Check(ctx context.Context, ref Reference) (Access, error) {
	account, err := c.account(ctx, ref)
	if err != nil {
		return Access{}, err
	}
	access := Access{User: account.Username, Source: account.Source, Pull: c.canPull(ctx, ref)}
	access.Push = access.Pull
	if !errors.Is(access.Pull, entry.ErrUnreachable) && !errors.Is(access.Pull, entry.ErrTimeout) && !errors.Is(access.Pull, context.Canceled) {
		access.Push = c.canPush(ctx, ref)
	}
	access.Tried = c.loggedIn(ref)
	return access, nil
}

// checked is what both kinds of repository say about themselves.
type checked interface {
	account(ctx context.Context) (Account, error)
	loggedIn() bool
	CanPush(ctx context.Context) error
	ExpectPush()
}

func (c *Client) checked(ref Reference) (checked, error) {
	repository, err := c.Open(ref)
	if err != nil {
		return nil, err
	}
	return repository.(checked), nil
}

// account returns the account that the repository of ref is asked as, where
// its registry wants a login. Nothing is asked of the registry. Layouts are
// asked anonymously.
func (c *Client) account(ctx context.Context, ref Reference) (Account, error) {
	repository, err := c.checked(ref)
	if err != nil {
		return Account{}, err
	}
	return repository.account(ctx)
}

// loggedIn reports whether the client has logged in to the repository of ref,
// with a login that may have been refused.
func (c *Client) loggedIn(ref Reference) bool {
	repository, err := c.checked(ref)
	return err == nil && repository.loggedIn()
}

// canPull reports why ref cannot be read: its manifest, where it has a tag or
// a digest, else the repository's tag list. nil means that it can.
func (c *Client) canPull(ctx context.Context, ref Reference) error {
	repository, err := c.Open(ref)
	if err != nil {
		return err
	}
	if ref.Tag == "" && ref.Digest == "" {
		_, err = repository.Tags(ctx)
	} else {
		_, err = absence.Confirm(ctx, repository, ref.Target())
	}
	return err
}

func (c *Client) canPush(ctx context.Context, ref Reference) error {
	repository, err := c.checked(ref)
	if err != nil {
		return err
	}
	return repository.CanPush(ctx)
}

// What follows is for publishers in this module, who assert a repository to an
// interface of their own.

// ExpectPush says that the repository is going to be written to: from its next
// request on, its token service is asked for pulling and pushing at once,
// however often it is opened. Some registries hide a repository that does not
// exist yet from those who could not begin it.
func (r *remoteRepository) ExpectPush() { r.login.pushes.Store(true) }

// CanPush reports why the repository cannot be written to; nil means that it can.
// Nothing is written: an upload is begun and given up.
func (r *remoteRepository) CanPush(ctx context.Context) error {
	return r.classify(ctx, "begin an upload to "+r.base, r.beginUpload(ctx))
}

func (r *remoteRepository) account(ctx context.Context) (Account, error) {
	account, err := r.login.find(ctx)
	return account, r.classify(ctx, "log in to "+r.base, err)
}

func (r *remoteRepository) loggedIn() bool { return r.login.used() }

// beginUpload begins an upload and gives it up.
func (r *remoteRepository) beginUpload(ctx context.Context) error {
	response, err := r.write(ctx, question{method: http.MethodPost, path: "blobs/uploads/", body: []byte{}})
	if err != nil {
		return err
	}
	session, err := r.session(response)
	switch {
	case err == nil:
		// A session that nobody ends expires, so that nothing depends on this.
		_, _ = r.write(ctx, question{method: http.MethodDelete, whole: session.String()})
	case response.StatusCode != http.StatusAccepted:
		return err
	}
	return nil
}
